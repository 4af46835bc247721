"""The table of a study's values beside published ones, with the difference and its provenance."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np
import pandas as pd

from clflow.report.literature import (
    ALL,
    DATASET_REMARKS,
    METRIC_NAMES,
    SOURCES,
    Source,
    Value,
    Values,
    categories_of,
    values_of,
)
from clflow.report.summary import OVERALL, Summary, summarize
from clflow.study.runs import RunResult, Setup
from clflow.study.settings import StudySettings

_MISSING = "not stated"


@dataclass(frozen=True)
class Ours:
    """The setups of a study by method, the fraction of its training, and if a user gave images."""

    setups: Mapping[str, Setup]
    step_fraction: float
    own_folder: bool


def ours_of(study: StudySettings, runs: Iterable[RunResult]) -> Ours:
    """Return what a study and its runs say of how its values were made."""
    setups = dict.fromkeys(study.methods, Setup())
    setups |= {run.method: run.setup for run in runs if run.setup != Setup()}
    return Ours(setups, study.step_fraction, study.source == "folder")


def reasons(source: Source, method: str, ours: Ours) -> list[str]:
    """Return in what a published value and a method differ or may differ, empty if in nothing."""
    setup, remade = ours.setups[method], method == source.remade_as
    remark = source.remade if remade else source.remark
    found = [
        *([] if remade else _differ("backbone", source.backbone, setup.backbone)),
        *_differ("input size", source.image_size, setup.image_size),
        *([remark] if remark else []),
    ]
    if ours.step_fraction != 1:
        found.append(f"ours trained for {ours.step_fraction:g} of the steps")
    if ours.own_folder:
        found.append("our images are a copy that may be resized")
    return found


def _differ(what: str, theirs: object, own: object) -> Sequence[str]:
    if theirs is None:
        return [f"{what} not known"]
    return [] if theirs == own else [f"{what} {theirs}, ours {own or _MISSING}"]


@dataclass(frozen=True)
class Beside:
    """Ours beside one published value, all fractions; `difference` is ours minus published.

    An empty category is the mean over those that the study's own mean is of: as printed, or
    `averaged` here from the published values of these categories. `paper`, `entry`, `source` and
    `seen_verbatim` are those of the package's published.csv; `reason` says why a pair is not
    comparable, empty if nothing is known to differ.
    """

    dataset: str
    category: str
    metric: str
    published: str
    published_value: float
    published_std: float
    averaged: bool
    verified: bool
    method: str
    value: float
    std: float
    difference: float
    comparable: bool
    reason: str
    paper: str
    entry: str
    source: str
    seen_verbatim: str


def published_table(
    dataset: str, results: pd.DataFrame, chosen: Sequence[str], ours: Ours
) -> pd.DataFrame:
    """Return a row per metric, category, published value and method of ours.

    Without values of the data set, or of what is `chosen` among the published methods, the table
    has no row. A value of ours that is undefined is NaN and keeps its row.
    """
    rows = [
        row
        for name in METRIC_NAMES
        for row in _metric(dataset, summarize(results, name), chosen, ours)
    ]
    columns = [field.name for field in fields(Beside)]
    return pd.DataFrame([tuple(vars(row).values()) for row in rows], columns=columns)


def _metric(dataset: str, summary: Summary, chosen: Sequence[str], ours: Ours) -> Iterator[Beside]:
    found = [(s, values_of(s, dataset)) for s in SOURCES if s.method in chosen]
    whole = categories_of(dataset)
    # the mean over one category would repeat it
    places = [*summary.categories, *([OVERALL] if len(summary.categories) > 1 else [])]
    for index, category in enumerate(places):
        for source, values in found:
            value = _published(values, summary, category, whole)
            if value is not None:
                yield from _rows(dataset, summary, index, category, source, value, ours)


def _rows(
    dataset: str,
    summary: Summary,
    index: int,
    category: str,
    source: Source,
    value: Value,
    ours: Ours,
) -> Iterator[Beside]:
    means, stds = summary.mean.iloc[index].tolist(), summary.std.iloc[index].tolist()
    for method, mean, std in zip(summary.methods, means, stds, strict=True):
        why = reasons(source, method, ours)
        if dataset in DATASET_REMARKS:
            why.append(DATASET_REMARKS[dataset])
        yield Beside(
            dataset=dataset,
            category=category,
            metric=summary.metric.name,
            published=source.label,
            published_value=value.value,
            published_std=value.std,
            averaged=value.averaged,
            verified=value.verified,
            method=method,
            value=mean,
            std=std,
            difference=mean - value.value,
            comparable=not why,
            reason="; ".join(why),
            paper=source.paper,
            entry=source.entry,
            source=value.source,
            seen_verbatim=value.seen,
        )


def _published(
    values: Values, summary: Summary, category: str, whole: frozenset[str]
) -> Value | None:
    name = summary.metric.name
    if category != OVERALL:
        return values.get((category, name))
    if whole == set(summary.averaged) and (ALL, name) in values:
        return values[ALL, name]
    parts = [values.get((each, name)) for each in summary.averaged]
    return _mean([part for part in parts if part is not None], len(parts))


def _mean(parts: Sequence[Value], count: int) -> Value | None:
    """Return the mean over categories that all have a value; it is as sure as the least sure."""
    if not parts or len(parts) < count:
        return None
    least = min(parts, key=lambda part: part.verified)
    mean = fmean(part.value for part in parts)
    return Value(mean, np.nan, least.source, least.seen, averaged=True)
