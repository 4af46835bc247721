"""Small images and settings for the tests of the NSA detector."""

from typing import Any

import numpy as np
from nsa_images import BACKGROUND, Image, on_plain_ground, textured

from clflow.data.images import ArrayImages
from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.detectors.registry import find_method, merged
from clflow.synthesis.background import Decision, Kind
from clflow.synthesis.registry import find_members
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import Category, TrainingData

METHODS = ("nsa", "fpi", "pii", "cutpaste")
SIZE = 80
SMALL: dict[str, Any] = {
    "image_size": 96,
    "crop": {"object_window": 80, "object": 64, "texture_size": 104},
    # most patches of NSA's own sizes find no place in so small an image
    "anomalies": {"nsa": {"height_bounds": [0.1, 0.4], "width_bounds": [0.1, 0.4]}},
    "training": {"epochs": 2, "batch_size": 4, "checkpoint_every": 1},
    "precision": "float32",
}


def small_settings(method: str = "nsa", **changes: Any) -> NSADetectorSettings:
    """Return a method's settings, cut down to run in a moment."""
    return NSADetectorSettings.model_validate(find_method(method).complete(merged(SMALL, changes)))


def category(kind: Kind, dataset: str = "mine", name: str = "thing", **synthesize: Any) -> Category:
    """Return a category of a kind; an object lies on plain bright ground."""
    background = BACKGROUND if kind == "object" else None
    decision = Decision(kind, background, f"{kind}: for a test", None, {})
    return Category(dataset, name, decision, SynthesizeSettings(**synthesize))


def good_images(kind: Kind, count: int, seed: int = 0, side: int = 96) -> list[Image]:
    """Return textures, or textured boxes on plain ground."""
    draw = textured if kind == "texture" else on_plain_ground
    return [draw(side, side, seed + index) for index in range(count)]


def stacked(kind: Kind, count: int, side: int = 96) -> Image:
    """Return good images as one array [N, side, side, 3]."""
    return np.stack(good_images(kind, count, side=side))


def training_data(kind: Kind, count: int = 6) -> TrainingData:
    """Return good images of a category, without a bank."""
    return TrainingData(ArrayImages(good_images(kind, count)), category=category(kind))


def member_of(kind: Kind, settings: NSADetectorSettings) -> Any:
    """Return the generator of a kind with the overrides of some settings."""
    own = settings.anomalies
    changes = {"generator": own.generator, "label": settings.label, "nsa": own.nsa}
    synthesize = SynthesizeSettings().model_copy(update=changes)
    (member,) = find_members(category(kind).decision, synthesize)
    return member
