"""Figures in MLflow: a run for the curves and score histograms of one category."""

from pathlib import Path

from clflow.errors import DataError
from clflow.files import digest_of, sha256_of
from clflow.study.paths import StudyPaths
from clflow.tracking.runs import CATEGORY, STUDY, Changes, identity_of, new_run
from clflow.tracking.store import open_store
from clflow.tracking.times import file_span


def log_figures(root: Path, study: str, category: str) -> Changes:
    """Log the figures of a category, of all methods together, as a run of their own.

    Raises:
        DataError: there is none.
        TrackingError: MLflow failed.
    """
    folder = root / StudyPaths(study).figures(category)
    files = sorted(folder.glob("*.*"))
    if not files:
        raise DataError(f"{folder} holds no figure; run `dvc repro figures`")
    key = digest_of([category, *([file.name, sha256_of(file)] for file in files)])
    with open_store(root) as store:
        experiment = store.experiment(study)
        found = store.find(experiment, identity_of("figures", key))
        if found:
            return Changes(unchanged=frozenset([found.id]))
        tags, name = {STUDY: study, CATEGORY: category}, f"figures/{category}"
        with new_run(store, experiment, name, "figures", key, tags, file_span(*files)) as run:
            store.upload(run, folder)
    return Changes(created=frozenset([run.id]))
