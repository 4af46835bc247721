"""What a reader must know beside the numbers: the protocol, what was counted, what is undefined."""

from collections.abc import Iterable, Sequence

import pandas as pd

from clflow.tables.runs import Run
from clflow.tables.summary import UNDEFINED, Summary


def protocol_lines(runs: Sequence[Run], seeds: Sequence[int]) -> list[str]:
    """Return what the numbers are, then each entry of the runs' protocols."""
    fixed = [
        f"Numbers are fractions, not percentages. Seeds: {', '.join(map(str, seeds))}.",
        "With several seeds a cell is the mean ± sample standard deviation over them. The mean "
        "over categories is unweighted: taken per seed, then summarized over seeds.",
    ]
    keys = dict.fromkeys(key for run in runs for key in run.protocol)
    return fixed + [f"{words(key)}: {_agreed(runs, key)}." for key in keys]


def count_table(runs: Sequence[Run]) -> pd.DataFrame:
    """Return the counts of each category; by method only where methods differ."""
    keys = dict.fromkeys(key for run in runs for key in run.counts)
    rows = []
    for category in dict.fromkeys(run.category for run in runs):
        own = [run for run in runs if run.category == category]
        differ = any(run.counts != own[0].counts for run in own)
        for run in own if differ else own[:1]:
            label = f"{category} ({run.method})" if differ else category
            rows.append([label, *(str(run.counts.get(key, UNDEFINED)) for key in keys)])
    return pd.DataFrame(rows, columns=["Category", *map(words, keys)])


def notes(runs: Sequence[Run], seeds: Sequence[int], summaries: Iterable[Summary]) -> list[str]:
    """Return what qualifies the metrics that are shown."""
    single = ["Only one seed was run: there is no standard deviation."] if len(seeds) == 1 else []
    undefined = (note for summary in summaries if (note := _undefined(summary)))
    return [*single, *_unmarked(runs), *undefined]


def _unmarked(runs: Sequence[Run]) -> list[str]:
    counts = {run.category: run.counts for run in runs}
    return [
        f"{category}: {unmarked} of {own.get('test_anomalous', 0)} anomalous test images have no "
        "marked pixel and are left out of pixel metrics."
        for category, own in counts.items()
        if (unmarked := own.get("test_without_mask", 0))
    ]


def _undefined(summary: Summary) -> str | None:
    undefined = [each for each in summary.categories if each not in summary.averaged]
    if not undefined:
        return None
    last = f"its last row is the {summary.mean_label}" if summary.averaged else "it has no mean"
    return (
        f"{summary.metric.title} is undefined for at least one method and seed on "
        f"{', '.join(undefined)}; {last}."
    )


def _agreed(runs: Sequence[Run], key: str) -> str:
    by_value: dict[str, list[Run]] = {}
    for run in runs:
        by_value.setdefault(run.protocol.get(key, "not stated"), []).append(run)
    if len(by_value) == 1:
        return next(iter(by_value))
    return "; ".join(f"{value} ({_names(own, runs)})" for value, own in by_value.items())


def _names(own: Sequence[Run], runs: Sequence[Run]) -> str:
    methods = dict.fromkeys(run.method for run in own)
    if sum(run.method in methods for run in runs) == len(own):
        return ", ".join(methods)
    return ", ".join(f"{run.method} on {run.category}" for run in own)


def words(key: str) -> str:
    """Return a key as the start of a sentence."""
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]
