"""What detectors learn from: good images of one category, and anomalies made from them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clflow.data.images import Box, ImageSource
from clflow.synthesis.background import Decision
from clflow.synthesis.settings import SynthesizeSettings


@dataclass(frozen=True)
class Negatives:
    """Synthetic anomalies: image i was made from good image `owners[i]`.

    Attributes:
        masks: reads the mask of anomaly i, bool [H, W].
        boxes: half-open boxes (x0, y0, x1, y1) of the mask's components, in pixels.
    """

    images: ImageSource
    masks: Callable[[int], np.ndarray]
    boxes: tuple[tuple[Box, ...], ...]
    owners: tuple[int, ...]


@dataclass(frozen=True)
class Category:
    """What the synthesize stage knew of a category: its names, its decision, the settings."""

    dataset: str
    name: str
    decision: Decision
    synthesize: SynthesizeSettings


@dataclass(frozen=True)
class TrainingData:
    """Good images of one category and anomalies made from them; nothing of the test set.

    Attributes:
        category: what is known of it, for detectors that make anomalies themselves.
    """

    good: ImageSource
    negatives: Negatives | None = None
    category: Category | None = None
