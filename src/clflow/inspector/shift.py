"""A picture of how the scores of good images moved since the training day."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clflow.decision.calibration import Calibration, shift_of
from clflow.files import atomic_path


def draw_shift(calibration: Calibration, path: Path) -> None:
    """Draw the cumulative distributions of scores then and now, and the threshold, as PNG.

    Raises:
        StorageError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = shift_of(calibration)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name, scores in (("training day", calibration.reference), ("now", calibration.scores)):
        axes.step(*_cumulative(scores), where="post", label=f"{name} ({len(scores)} images)")
    axes.axvline(calibration.image.threshold, color="black", linestyle=":", label="threshold now")
    axes.set(xlabel="raw score of good images", ylabel="share of images", ylim=(0, 1.02))
    axes.set_title(f"Kolmogorov-Smirnov distance {found.distance:.3f}, p {found.p_value:.2g}")
    axes.legend(frameon=False)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})


def _cumulative(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shares = np.arange(1, len(scores) + 1) / len(scores)
    return np.concatenate([scores[:1], scores]), np.concatenate([[0.0], shares])
