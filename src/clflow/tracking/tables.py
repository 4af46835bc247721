"""Tables in MLflow: a run of their own, and the means of each method in the run of the method."""

from pathlib import Path

import pandas as pd

from clflow.files import digest_of, sha256_of
from clflow.report.results import failed_runs, load_results
from clflow.report.summary import mean_metrics
from clflow.study.paths import RESULTS, TABLE_FILES
from clflow.tracking.notes import method_note
from clflow.tracking.runs import (
    FAILED,
    STUDY,
    Changes,
    identity_of,
    method_run,
    metric_points,
    new_run,
    short,
)
from clflow.tracking.store import NOTE, Entry, Store, open_store
from clflow.tracking.times import Span, file_span

TABULATED = "clflow.tabulated"

# what an earlier version put where the note now is
_FORMER_TAG = "clflow.failed_runs"


def log_tables(root: Path, study: str, tables: Path) -> Changes:
    """Log all tables as a run, and means and failed runs of each method to the run of the method.

    Raises:
        DataError: results.csv is missing or malformed.
        TrackingError: MLflow failed.
    """
    folder = root / tables
    results = load_results(folder / RESULTS)
    files = [folder / name for name in TABLE_FILES if (folder / name).is_file()]
    key, span = digest_of([[file.name, sha256_of(file)] for file in files]), file_span(*files)
    with open_store(root) as store:
        _log_methods(store, study, results, span)
        experiment = store.experiment(study)
        found = store.find(experiment, identity_of("tables", key))
        if found:
            return Changes(unchanged=frozenset([found.id]))
        with new_run(store, experiment, "tables", "tables", key, {STUDY: study}, span) as run:
            for file in files:
                store.upload(run, file)
    return Changes(created=frozenset([run.id]))


def _log_methods(store: Store, study: str, results: pd.DataFrame, span: Span) -> None:
    means = mean_metrics(results)
    failed: dict[str, list[str]] = {method: [] for method in results["method"].unique()}
    for category, method, seed in failed_runs(results):
        failed[method].append(f"{category} seed {seed}")
    for method, runs in failed.items():
        own = {f"mean_{name}": value for name, value in means.get(method, {}).items()}
        _log_method(store, method_run(store, study, method, span), method, own, runs)


def _log_method(
    store: Store, parent: Entry, method: str, means: dict[str, float], failed: list[str]
) -> None:
    digest = short(digest_of([means, failed]))
    if parent.tags.get(TABULATED) == digest:
        return
    former = {name for name in parent.metrics if name.startswith("mean_")}
    defined = {name: means.get(name) for name in sorted(former | means.keys())}
    store.log_points(parent, metric_points(defined, parent))
    if _FORMER_TAG in parent.tags:
        store.remove_tag(parent, _FORMER_TAG)
    told = {FAILED: "true" if failed else "false", NOTE: method_note(method, failed)}
    store.log_tags(parent, told)
    store.log_tags(parent, {TABULATED: digest})
