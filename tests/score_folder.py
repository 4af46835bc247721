"""Score folders of a tiny study, as the evaluate stage writes them, for tests of the figures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

GOOD, ANOMALOUS, HELD_OUT = 12, 20, 8
FPR = (0.0, 0.0, 0.1, 0.1, 0.5, 1.0)
PRO = (0.0, 0.4, 0.5, 0.7, 0.9, 1.0)


def random_scores(seed: int, gap: float = 1.0) -> pd.DataFrame:
    """Return scores of which the anomalous images' are `gap` higher on average."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 0], [GOOD, ANOMALOUS, HELD_OUT])
    split = np.repeat(["test", "validation"], [GOOD + ANOMALOUS, HELD_OUT])
    scores = (rng.normal(size=len(labels)) + gap * labels).astype(np.float32)
    return pd.DataFrame({"split": split, "label": labels, "score": scores})


def write_scores(folder: Path, seed: int, table: pd.DataFrame) -> None:
    """Write the scores of a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    table.to_parquet(folder / f"seed-{seed}.parquet", index=False)


def write_curves(
    folder: Path, seed: int, fpr: Sequence[float] = FPR, pro: Sequence[float] = PRO
) -> None:
    """Write the pixel curves of a seed, none where there are no rates."""
    table = pd.DataFrame({"fpr": fpr, "tpr": pro, "pro": pro}, dtype=np.float64)
    table.to_parquet(folder / f"curves-seed-{seed}.parquet", index=False)
