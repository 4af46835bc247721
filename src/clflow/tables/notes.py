"""What a reader must know beside the numbers: the protocol, what was counted, what is undefined."""

from collections.abc import Sequence

import pandas as pd

from clflow.tables.metrics import METRICS
from clflow.tables.runs import Run
from clflow.tables.summary import UNDEFINED, summarize


def protocol_lines(runs: Sequence[Run], seeds: Sequence[int]) -> list[str]:
    """Return what the numbers are, then each entry of the runs' protocols."""
    fixed = [
        f"Numbers are fractions, not percentages. Seeds: {', '.join(map(str, seeds))}.",
        "With several seeds a cell is the mean ± sample standard deviation over them. The mean "
        "over categories is unweighted: taken per seed, then summarized over seeds.",
        "Each model is the one after its last training step; none is chosen on test images.",
        "Scores are used raw, with nothing rescaled by the test images.",
        "Oracle metrics choose their threshold with the test labels: an upper bound, not a result.",
    ]
    keys = dict.fromkeys(key for run in runs for key in run.protocol)
    return fixed + [f"{_words(key)}: {_agreed(runs, key)}." for key in keys]


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
    return pd.DataFrame(rows, columns=["Category", *map(_words, keys)])


def notes(results: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return what qualifies the metrics `names` of a tidy table."""
    found = []
    if results["seed"].nunique() == 1:
        found.append("Only one seed was run: there is no standard deviation.")
    without = _without_pixel_metrics(results)
    if without:
        found.append(f"No usable ground-truth masks, so no pixel metrics: {', '.join(without)}.")
    return found + [note for name in names if (note := _undefined(results, name))]


def _undefined(results: pd.DataFrame, name: str) -> str | None:
    summary = summarize(results, name)
    undefined = [name for name in summary.categories if name not in summary.averaged]
    if not undefined:
        return None
    title, listed = summary.metric.title, ", ".join(undefined)
    reach = "for no category" if not summary.averaged else f"is the {summary.mean_label}"
    return (
        f"{title} is undefined for at least one method and seed on {listed}; "
        f"its mean {'is defined ' if not summary.averaged else ''}{reach}."
    )


def _without_pixel_metrics(results: pd.DataFrame) -> list[str]:
    pixel = [metric.name for metric in METRICS.values() if metric.level == "pixel"]
    values = results[results["metric"].isin(pixel)]
    defined = set(values.loc[values["value"].notna(), "category"])
    return [category for category in values["category"].unique() if category not in defined]


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


def _words(key: str) -> str:
    words = key.replace("_", " ")
    return words[:1].upper() + words[1:]
