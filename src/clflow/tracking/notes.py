"""What a person reads of a run in MLflow, and the whole record of what it was made from."""

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clflow.files import sha256_of
from clflow.study.paths import StudyPaths
from clflow.study.runs import RunResult
from clflow.study.training import Description, TrainedRun
from clflow.tracking.times import Span

TRAINING_RECORD = "provenance/training.json"
EVALUATION_RECORD = "provenance/evaluation.json"
BANK_RECORD = "provenance/bank.json"

BANKS_NOTE = "Synthetic anomalies, which every method sees: one run below for each category."

_SHOWN = 16
_TITLES = {"manifest": "images", "bank": "synthetic anomalies"}


def repository_state(root: Path) -> dict[str, str]:
    """Return commit, whether tracked files differ from it, digest of dvc.lock: those that exist."""
    state = {}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        state["git_commit"] = commit
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        state["git_dirty"] = "true" if changed else "false"
    lock = root / "dvc.lock"
    if lock.is_file():
        state["dvc_lock"] = sha256_of(lock)
    return state


def _git(root: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *command],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def training_record(root: Path, run: TrainedRun) -> dict[str, Any]:
    """Return what a model was made from; settings are parameters, so they are left out.

    `logged` is the state of the repository now, which may be later than the training.
    """
    about = run.description.model_dump(exclude={"settings"}, exclude_none=True)
    digests = run.description.digests | _weights(run)
    return about | {"digests": digests, "logged": repository_state(root)}


def evaluation_record(root: Path, result: RunResult) -> dict[str, Any]:
    """Return how and on what a result was measured; `logged` as in `training_record`."""
    about = result.model_dump(exclude={"seeds", "failures"})
    return about | {"logged": repository_state(root)}


def run_note(run: TrainedRun, span: Span, result: RunResult | None = None) -> str:
    """Return a run in Markdown: what, from what data, how long, how measured."""
    about = run.description
    reasons = [about.failure, result.failures.get(about.seed) if result else None]
    parts = [
        f"**{about.method}** on **{about.category}** of data set {about.dataset}, "
        f"seed {about.seed}. {_duration(about, span)}",
        *(f"**Failed:** {_line(reason)}" for reason in dict.fromkeys(filter(None, reasons))),
        digest_table(_sources(run)),
        *([] if result is None else _measured(result)),
        "Whole digests, versions and the commit: artifacts in `provenance/`.",
    ]
    return "\n\n".join(parts)


def method_note(method: str, failed: Iterable[str]) -> str:
    """Return the run of a method in Markdown: what its means are over, which runs failed."""
    runs = "\n".join(f"- {name}" for name in failed)
    return (
        f"**{method}**: its models are the runs below. `mean_*` are means over seeds, then over "
        "the categories in which every method of the study has a value for every seed, as in "
        f"the table of results.\n\n**Failed runs:**{' none' if not runs else chr(10) * 2 + runs}"
    )


def bank_note(
    category: str, dataset: str, reason: str, sources: Iterable[tuple[str, str, str]]
) -> str:
    """Return a bank in Markdown; `reason` is why its settings are what they are."""
    return "\n\n".join(
        [
            f"Synthetic anomalies of **{category}** of data set {dataset} ({_line(reason)}).",
            digest_table(sources),
            f"Whole digests, versions and the commit: artifact `{BANK_RECORD}`.",
        ]
    )


def digest_table(sources: Iterable[tuple[str, str, str]]) -> str:
    """Return a Markdown table of what was used: title, place, the start of its SHA-256."""
    rows = [f"| {title} | {place} | `{digest[:_SHOWN]}` |" for title, place, digest in sources]
    return "\n".join(["| What | Place | SHA-256 |", "|---|---|---|", *rows])


def _duration(about: Description, span: Span) -> str:
    if span.seconds is not None:
        return f"Trained for {span.seconds:.1f} s on {about.device}."
    return f"Trained on {about.device}; how long is not known here: the times are the files'."


def _sources(run: TrainedRun) -> list[tuple[str, str, str]]:
    about, paths = run.description, StudyPaths(run.description.study)
    places = {
        "manifest": paths.manifest(about.category),
        "bank": paths.bank(about.category) / "train" / "manifest.jsonl",
        "weights": paths.model(about.method, about.category, about.seed) / run.weights.name,
    }
    return [
        (
            _TITLES.get(name, name),
            f"`{places[name].as_posix()}`" if name in places else "",
            digest,
        )
        for name, digest in sorted((about.digests | _weights(run)).items(), key=_order)
    ]


def _order(source: tuple[str, str]) -> tuple[bool, str]:
    return source[0] != "manifest", source[0]


def _weights(run: TrainedRun) -> dict[str, str]:
    return {"weights": sha256_of(run.weights)} if run.weights.is_file() else {}


def _measured(result: RunResult) -> list[str]:
    counts = _listed(result.counts)
    protocol = "\n".join(f"- {name}: {_line(text)}" for name, text in result.protocol.items())
    return [f"**Images:** {counts}", f"**Protocol**\n\n{protocol}"]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())


def _line(text: str) -> str:
    return " ".join(text.split())
