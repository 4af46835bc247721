"""Runs that failed or are degenerate: shown and marked in the tables, never left out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from clflow.tables.runs import Run
from clflow.tables.scores import CategoryScores

MARK = "†"
CHANCE = 0.5
NO_RESULT = "no result, the run failed or was not made"


@dataclass(frozen=True)
class Flag:
    """What is wrong with the runs of a method on a category."""

    category: str
    method: str
    seeds: tuple[int, ...]
    reason: str

    @property
    def text(self) -> str:
        """Return a note."""
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        return f"{MARK} {self.method} on {self.category}, {seeds}: {self.reason}."


def flags_of(runs: Iterable[Run], scores: Mapping[str, CategoryScores]) -> tuple[Flag, ...]:
    """Return the flags of all runs, in their order; seeds with one reason share a flag."""
    return tuple(flag for run in runs for flag in _flags(run, scores[run.category]))


def _flags(run: Run, scores: CategoryScores) -> Iterator[Flag]:
    found = sorted(
        (reason, seed) for seed in run.seeds if (reason := _reason(run, seed, scores)) is not None
    )
    for reason, group in groupby(found, key=lambda pair: pair[0]):
        yield Flag(run.category, run.method, tuple(seed for _, seed in group), reason)


def _reason(run: Run, seed: int, scores: CategoryScores) -> str | None:
    if seed in run.failed_seeds:
        return run.failures.get(seed, NO_RESULT).rstrip(".")
    values = scores.by_run[run.method, seed]
    if not np.isfinite(values).all():
        return "scores that are NaN or infinite"
    if len(values) > 1 and np.ptp(values) == 0:
        return "the same score for every test image"
    auroc = run.seeds[seed]["image_auroc"]
    if auroc is not None and auroc <= CHANCE:
        return "image AUROC no better than chance"
    return None
