"""Curves and scores of the evaluate stage as small tables that `dvc plots` draws and compares."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clflow.files import write_text
from clflow.metrics.curves import PixelCurves, defect_steps
from clflow.pipeline.measure import CURVE_POINTS, CategoryScores

# the files and their columns; without any value they have no rows, so that DVC finds them all
SCORES = "scores.csv"
PLOTS = {
    "roc.csv": ("fpr", "tpr", "seed"),
    "pro.csv": ("fpr", "pro", "seed"),
    SCORES: ("score", "kind", "seed"),
}

Plots = Mapping[str, pd.DataFrame]


def seed_plots(
    seed: int, labels: NDArray[np.integer], scores: CategoryScores, regions: PixelCurves | None
) -> Plots:
    """Return what one model adds to each file, at most `CURVE_POINTS` rows of a curve.

    Args:
        labels: of the test images, [N].
        regions: the thinned curves of pixels, None where they are not defined.
    """
    images = _image_curves(labels, scores.test.image_scores)
    tables = {
        "roc.csv": _curve(images, "tpr"),
        "pro.csv": _curve(regions, "pro"),
        SCORES: _scores(labels, scores),
    }
    return {name: table.assign(seed=seed) for name, table in tables.items()}


def write_plots(folder: Path, seeds: Sequence[Plots]) -> None:
    """Write the files: the scores of all models, the curves of the first.

    A line drawn through the curves of several models would jump between them.
    """
    for name, columns in PLOTS.items():
        shown = seeds if name == SCORES else seeds[:1]
        parts = [pd.DataFrame(columns=list(columns)), *(plots[name] for plots in shown)]
        table = pd.concat([part for part in parts if len(part)] or parts[:1])
        text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_text(folder / name, text)


def _image_curves(labels: NDArray[np.integer], scores: NDArray[np.floating]) -> PixelCurves | None:
    anomalous = labels.astype(bool)
    weight = np.ones(np.count_nonzero(anomalous))
    steps = defect_steps(np.sort(scores[~anomalous]), scores[anomalous], weight)
    return None if steps is None else steps.curves().thinned(CURVE_POINTS)


def _curve(curves: PixelCurves | None, hit: str) -> pd.DataFrame:
    if curves is None:
        return pd.DataFrame({"fpr": [], hit: []})
    return pd.DataFrame({"fpr": curves.fpr, hit: getattr(curves, hit)})


def _scores(labels: NDArray[np.integer], scores: CategoryScores) -> pd.DataFrame:
    kinds = np.where(labels.astype(bool), "anomalous", "good")
    groups = (
        (scores.test.image_scores, kinds),
        (scores.validation, np.repeat("held-out good", len(scores.validation))),
        (scores.synthetic, np.repeat("synthetic", len(scores.synthetic))),
    )
    return pd.concat([pd.DataFrame({"score": own, "kind": kind}) for own, kind in groups])
