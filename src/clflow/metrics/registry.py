"""The metrics of a study. A new one is a function and an entry here, and nothing else.

The evaluate stage writes every entry, the tables and MLflow read every entry. A result that was
written before a metric was added has no value of it: it is undefined there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from clflow.metrics.scored import ScoredCategory

Use = Literal[
    "headline", "decision", "false_alarms", "selection_bias", "without_labels", "influence"
]


@dataclass(frozen=True)
class Metric:
    """One metric, and where it appears besides the tables.

    Attributes:
        value: makes it from the scores of a model; None where it is undefined.
        better: None where a larger value is neither better nor worse.
        uses: `headline` is told while a study runs; `decision` is in the table of decisions;
            `false_alarms` is a share of the good test images, of which a threshold promises one;
            `selection_bias` is followed over training, as is `without_labels`, which no test label
            has a part in; with `influence` it is known how much each image moves the metric.
    """

    name: str
    title: str
    level: Literal["image", "pixel"]
    value: Callable[[ScoredCategory], float | None]
    better: Literal["higher", "lower"] | None = "higher"
    uses: tuple[Use, ...] = ()


def named(use: Use) -> tuple[str, ...]:
    """Return the names of the metrics of a use, in the order of the registry.

    >>> named("selection_bias")
    ('image_auroc', 'pixel_auroc', 'aupro_30')
    """
    return tuple(name for name, metric in METRICS.items() if use in metric.uses)


_METRICS = (
    Metric(
        "image_auroc",
        "Image AUROC",
        "image",
        lambda scored: scored.ranking["image_auroc"],
        uses=("headline", "selection_bias"),
    ),
    Metric("image_ap", "Image AP", "image", lambda scored: scored.ranking["image_ap"]),
    Metric(
        "image_f1_max",
        "Image F1-max (oracle)",
        "image",
        lambda scored: scored.ranking["image_f1_max"],
    ),
    Metric(
        "pixel_auroc",
        "Pixel AUROC",
        "pixel",
        lambda scored: scored.localisation["pixel_auroc"],
        uses=("headline", "selection_bias", "influence"),
    ),
    Metric("pixel_ap", "Pixel AP", "pixel", lambda scored: scored.localisation["pixel_ap"]),
    Metric(
        "pixel_f1_max",
        "Pixel F1-max (oracle)",
        "pixel",
        lambda scored: scored.localisation["pixel_f1_max"],
    ),
    Metric(
        "aupro_30",
        "AUPRO (FPR ≤ 0.3)",
        "pixel",
        lambda scored: scored.localisation["aupro_30"],
        uses=("headline", "selection_bias", "influence"),
    ),
    Metric(
        "aupro_05",
        "AUPRO (FPR ≤ 0.05)",
        "pixel",
        lambda scored: scored.localisation["aupro_05"],
        uses=("influence",),
    ),
    Metric(
        "aupimo",
        "AUPIMO (1e-5 to 1e-4)",
        "pixel",
        lambda scored: scored.aupimo,
        uses=("headline",),
    ),
    Metric(
        "threshold",
        "Threshold (raw score)",
        "image",
        lambda scored: scored.promise.threshold,
        better=None,
    ),
    Metric(
        "promised_fpr",
        "Promised image FPR",
        "image",
        lambda scored: scored.promise.rate,
        better=None,
    ),
    Metric(
        "image_precision",
        "Image precision",
        "image",
        lambda scored: scored.decisions["image_precision"],
        uses=("decision",),
    ),
    Metric(
        "image_recall",
        "Image recall",
        "image",
        lambda scored: scored.decisions["image_recall"],
        uses=("decision",),
    ),
    Metric(
        "image_f1",
        "Image F1",
        "image",
        lambda scored: scored.decisions["image_f1"],
        uses=("decision",),
    ),
    Metric(
        "image_fpr",
        "Image FPR",
        "image",
        lambda scored: scored.decisions["image_fpr"],
        better="lower",
        uses=("false_alarms",),
    ),
    Metric(
        "pixel_threshold",
        "Pixel threshold (raw score)",
        "pixel",
        lambda scored: scored.pixel_promise.threshold,
        better=None,
    ),
    Metric(
        "promised_region_rate",
        "Promised region FPR",
        "pixel",
        lambda scored: scored.pixel_promise.rate,
        better=None,
    ),
    Metric(
        "region_fpr",
        "Region FPR (good images with any region)",
        "pixel",
        lambda scored: scored.region_rate,
        better="lower",
        uses=("false_alarms",),
    ),
    Metric(
        "synthetic_image_auroc",
        "Image AUROC on synthetic anomalies",
        "image",
        lambda scored: scored.synthetic_ranking["image_auroc"],
        uses=("without_labels",),
    ),
)

METRICS = {metric.name: metric for metric in _METRICS}
