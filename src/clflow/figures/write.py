"""The figures stage: all figures of one category."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clflow.figures.histograms import draw_scores, score_panels
from clflow.figures.rates import draw_rates, pro_chart, roc_chart
from clflow.figures.scores import MethodScores
from clflow.figures.style import Build, save
from clflow.files import atomic_folder


@dataclass(frozen=True, eq=False)
class Subject:
    """What is drawn: the methods of a study on a category, and the quantile of its threshold."""

    category: str
    seeds: tuple[int, ...]
    methods: tuple[MethodScores, ...]
    threshold_quantile: float


def write_figures(subject: Subject, folder: Path, formats: Sequence[str]) -> tuple[str, ...]:
    """Write roc, scores and, if there are curves of pixels, pro; return the names of these.

    What is missing or not defined is said in the figure that lacks it.
    """
    figures = _figures(subject)
    with atomic_folder(folder) as partial_folder:
        for name, build in figures.items():
            save(build, partial_folder / name, formats)
    return tuple(figures)


def _figures(subject: Subject) -> dict[str, Build]:
    category, methods, seeds = subject.category, subject.methods, subject.seeds
    panels = score_panels(methods, seeds, subject.threshold_quantile)
    figures: dict[str, Build] = {
        "roc": partial(draw_rates, roc_chart(category, methods, seeds)),
        "scores": partial(draw_scores, category, panels),
    }
    regions = pro_chart(category, methods, seeds)
    return figures | ({"pro": partial(draw_rates, regions)} if regions else {})
