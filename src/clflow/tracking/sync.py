"""Bring MLflow up to date with the files on disk."""

from dataclasses import dataclass
from pathlib import Path

from clflow.pipeline.params import load_study
from clflow.progress import say, track
from clflow.settings import PARAMS
from clflow.study.paths import TABLES, StudyPaths
from clflow.study.training import FAILURE
from clflow.tracking.banks import log_bank
from clflow.tracking.figures import log_figures
from clflow.tracking.runs import Changes, log_evaluation, log_training
from clflow.tracking.tables import log_tables


@dataclass(frozen=True)
class SyncReport:
    """How many runs were made, got new results, and were already complete."""

    created: int
    updated: int
    unchanged: int


def sync(root: Path) -> SyncReport:
    """Log whatever of a study is on disk and MLflow lacks; a second call does nothing.

    Raises:
        DataError: a file is missing or malformed.
        SettingsError: there are tables, but params.yaml does not name their study.
        TrackingError: MLflow failed.
    """
    changes = Changes()
    banks, trained, evaluated = _banks(root), _trained(root), _evaluated(root)
    for study, category in track(banks, "sync banks", len(banks)):
        changes |= log_bank(root, study, category)
    for study, method, category, seed in track(trained, "sync models", len(trained)):
        changes |= log_training(root, study, method, category, seed)
    for study, method, category in track(evaluated, "sync results", len(evaluated)):
        changes |= log_evaluation(root, study, method, category)
    for study, category in _drawn(root):
        changes |= log_figures(root, study, category)
    if (root / TABLES / "results.csv").is_file():
        settings = load_study(root / PARAMS)
        changes |= log_tables(root, settings.name, TABLES)
    return SyncReport(len(changes.created), len(changes.updated), len(changes.unchanged))


def _banks(root: Path) -> list[tuple[str, str]]:
    """Return study and category of each report whose bank is there too."""
    found = _places(root, StudyPaths("*").bank_report("*") / "statistics.csv")
    places = [(study, category) for *_, study, category, _ in found]
    here = [
        (study, category)
        for study, category in places
        if (root / StudyPaths(study).bank(category) / "bank.json").is_file()
    ]
    absent = ["/".join(place) for place in places if place not in here]
    if absent:
        say(f"MLflow: no bank of {', '.join(absent)} on disk; `dvc pull` and sync")
    return here


def _trained(root: Path) -> list[tuple[str, str, str, int]]:
    """Return study, method, category and seed of each model, oldest first."""
    folders = StudyPaths("*").models("*", "*") / "seed-*"
    found = [place for name in ("run.json", FAILURE) for place in _places(root, folders / name)]
    found.sort(key=lambda parts: (root.joinpath(*parts).stat().st_mtime_ns, parts))
    return [
        (study, method, category, int(seed.removeprefix("seed-")))
        for _, study, method, category, seed, _ in found
        if seed.removeprefix("seed-").isdigit()
    ]


def _evaluated(root: Path) -> list[tuple[str, str, str]]:
    found = _places(root, StudyPaths("*").results / "*" / "*.json")
    return [(study, method, name.removesuffix(".json")) for *_, study, method, name in found]


def _drawn(root: Path) -> list[tuple[str, str]]:
    found = _places(root, StudyPaths("*").figures("*"))
    return [(study, category) for *_, study, category in found]


def _places(root: Path, pattern: Path) -> list[tuple[str, ...]]:
    # Hidden names are folders that a stage is still writing.
    places = sorted(path.relative_to(root).parts for path in root.glob(str(pattern)))
    return [parts for parts in places if not any(part.startswith(".") for part in parts)]
