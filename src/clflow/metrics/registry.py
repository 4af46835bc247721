"""The metrics that a study reports: names, titles, and which way is better."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric; `better` is None where a larger value is neither better nor worse."""

    name: str
    title: str
    level: Literal["image", "pixel"]
    better: Literal["higher", "lower"] | None = "higher"


_METRICS = (
    Metric("image_auroc", "Image AUROC", "image"),
    Metric("image_ap", "Image AP", "image"),
    Metric("image_f1_max", "Image F1-max (oracle)", "image"),
    Metric("pixel_auroc", "Pixel AUROC", "pixel"),
    Metric("pixel_ap", "Pixel AP", "pixel"),
    Metric("pixel_f1_max", "Pixel F1-max (oracle)", "pixel"),
    Metric("aupro_30", "AUPRO (FPR ≤ 0.3)", "pixel"),
    Metric("aupro_05", "AUPRO (FPR ≤ 0.05)", "pixel"),
    Metric("aupimo", "AUPIMO (1e-5 to 1e-4)", "pixel"),
    Metric("threshold", "Threshold (raw score)", "image", better=None),
    Metric("image_precision", "Image precision", "image"),
    Metric("image_recall", "Image recall", "image"),
    Metric("image_f1", "Image F1", "image"),
    Metric("image_fpr", "Image FPR", "image", better="lower"),
    Metric("synthetic_image_auroc", "Image AUROC on synthetic anomalies", "image"),
)

METRICS = {metric.name: metric for metric in _METRICS}
