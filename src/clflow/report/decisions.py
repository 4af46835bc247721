"""What thresholds decide on test images, and the false alarms that they promised."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clflow.metrics.conformal import Promise, chance_of
from clflow.metrics.registry import METRICS, named
from clflow.report.evidence import MARK, Report, intervals_of
from clflow.report.remarks import words
from clflow.report.summary import OVERALL, UNDEFINED, Cell, p_text, rows_of, summarize
from clflow.statistics.comparison import holm
from clflow.study.runs import RunResult

TITLE = "Decisions at a fixed threshold"
LEAD = (
    "Precision, recall and F1 are at the threshold set from good validation images alone; F1-max "
    "(oracle) is the best F1 of any threshold, chosen with the test labels."
)
ALARMS_TITLE = "False alarms"
ALARMS_LEAD = (
    "Promised by the held-out good images, and found on good test images, with a binomial "
    "interval. FPR is the share of good images above the threshold, region FPR of those with any "
    "pixel above the pixel threshold. A promise holds on average over held-out images: one draw of "
    "few of them may miss it by more than the interval says."
)
DECIDED = (*named("decision"), "image_f1_max")
ALARMS = (("promised_fpr", "image_fpr"), ("promised_region_rate", "region_fpr"))
_TITLES = ("FPR promised", "FPR found", "Region FPR promised", "Region FPR found")


def decision_columns() -> list[str]:
    """Return the header of the table of decisions."""
    titles = (METRICS[name].title.removeprefix("Image ") for name in DECIDED)
    return ["Category", "Method", *map(words, titles)]


def decision_rows(report: Report) -> list[tuple[str, str, tuple[Cell, ...]]]:
    """Return a category, a method and its cells per row; the mean over categories comes last."""
    summaries = [summarize(report.results, name) for name in DECIDED]
    columns = [rows_of(s, report.settings.digits, report.marks) for s in summaries]
    first = summaries[0]
    return [
        (label, method, tuple(column[i].cells[j] for column in columns))
        for i, label in enumerate([*first.categories, "mean"])
        for j, method in enumerate(first.methods)
    ]


def alarm_table(report: Report) -> pd.DataFrame:
    """Return a row per category and method: rates promised and found, and of how many images."""
    found = [intervals_of(report, name) for pair in ALARMS for name in pair]
    summary = found[0][0]
    places = [*zip(summary.categories, summary.categories, strict=True), ("mean", OVERALL)]
    rows = [
        [
            label,
            _marked(method, place, report),
            *(cells[i][j] for _, cells in found),
            *_images(report, place, method),
        ]
        for i, (label, place) in enumerate(places)
        for j, method in enumerate(summary.methods)
    ]
    return pd.DataFrame(
        rows, columns=["Category", "Method", *_TITLES, "Held-out images", "Good test images"]
    )


def broken_promises(report: Report) -> list[str]:
    """Return where good test images give more false alarms than a kept promise explains.

    The probability of so many holds the chance of the held-out images too; it is the median over
    seeds, adjusted by Holm for all categories and methods.
    """
    found = [(run, p) for run in report.runs if (p := _chance(run)) is not None]
    adjusted = holm([p for _, p in found]).tolist() if found else []
    return [
        f"{run.method} on {run.category} gives more false alarms than its promise explains "
        f"({p_text(p)}): good test images are not like those that were held out."
        for (run, _), p in zip(found, adjusted, strict=True)
        if p < report.settings.significance
    ]


def _chance(run: RunResult) -> float | None:
    """Return how often a kept promise gives so many false alarms, None where nothing is known."""
    tested, held_out = (run.counts.get(name, 0) for name in ("test_good", "validation_good"))
    chances = [
        chance_of(round(found * tested), tested, Promise(threshold, rate, rate, held_out))
        for own in run.seeds.values()
        if (found := own["image_fpr"]) is not None
        and (rate := own["promised_fpr"]) is not None
        and (threshold := own["threshold"]) is not None
    ]
    return float(np.median(chances)) if chances and tested and held_out else None


def _marked(method: str, place: str, report: Report) -> str:
    return f"{method} {MARK}" if (place, method) in report.marks.flagged else method


def _images(report: Report, category: str, method: str) -> Sequence[str]:
    """Return how many images promised and how many were counted, dashes for a mean."""
    run = next((r for r in report.runs if (r.category, r.method) == (category, method)), None)
    counts = {} if run is None else run.counts
    return [str(counts.get(name, UNDEFINED)) for name in ("validation_good", "test_good")]
