"""Figures in MLflow: a run for the curves and score histograms of one category."""

from pathlib import Path

from clflow.errors import DataError
from clflow.files import digest_of, sha256_of
from clflow.study.paths import StudyPaths
from clflow.tracking.runs import KEY, KIND, Changes, repository_tags
from clflow.tracking.store import open_store


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
    identity = {KIND: "figures", KEY: key}
    with open_store(root) as store:
        experiment = store.experiment(study)
        found = store.find(experiment, identity)
        if found:
            return Changes(unchanged=frozenset([found.id]))
        tags = identity | {"clflow.category": category} | repository_tags(root)
        run = store.start(experiment, f"figures/{category}", tags)
        store.upload(run, folder)
        store.finish(run)
    return Changes(created=frozenset([run.id]))
