"""Logging from a stage: MLflow may fail, the stage may not."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec

from clflow.progress import say
from clflow.study.paths import TABLES
from clflow.tracking.banks import log_bank
from clflow.tracking.figures import log_figures
from clflow.tracking.runs import log_evaluation, log_training
from clflow.tracking.store import TrackingError
from clflow.tracking.tables import log_tables

Arguments = ParamSpec("Arguments")

_ROOT = Path()


def quietly(
    log: Callable[Arguments, object], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> None:
    """Log, or say in one line why MLflow could not; CLFLOW_TRACKING=off skips it."""
    if os.environ.get("CLFLOW_TRACKING", "").lower() == "off":
        return
    try:
        log(*args, **kwargs)
    except TrackingError as error:
        say(f"warning: {error}")


def track_bank(study: str, category: str) -> None:
    """Log the bank of synthetic anomalies of a category."""
    quietly(log_bank, _ROOT, study, category)


def track_training(study: str, method: str, category: str, seconds: Mapping[int, float]) -> None:
    """Log the trained models of a category, given the seconds that each seed took."""

    def log_seeds() -> None:
        for seed, duration in seconds.items():
            log_training(_ROOT, study, method, category, seed, duration)

    quietly(log_seeds)


def track_evaluation(study: str, method: str, category: str) -> None:
    """Log the metrics of a category."""
    quietly(log_evaluation, _ROOT, study, method, category)


def track_figures(study: str, category: str) -> None:
    """Log the curves and score histograms of a category."""
    quietly(log_figures, _ROOT, study, category)


def track_tables(study: str) -> None:
    """Log the results tables."""
    quietly(log_tables, _ROOT, study, TABLES)
