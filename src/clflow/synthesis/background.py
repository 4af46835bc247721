"""What is known of a category before anomalies are made for it: its kind, background, settings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from clflow.errors import DataError
from clflow.synthesis.labels import BackgroundLevels, channel_mean, majority

if TYPE_CHECKING:
    from clflow.synthesis.settings import SynthesizeSettings


Kind = Literal["object", "texture"]
Item = TypeVar("Item")

MEASURED_IMAGES = 20
FRAME_WIDTH = 10
SMALLEST_THRESHOLD = 5.0
SMALLEST_FOREGROUND = 0.02
LARGEST_FOREGROUND = 0.9
LARGEST_FRAME_RATIO = 0.5

_MASK_MEDIAN = 7


@dataclass(frozen=True)
class Background:
    """What was measured, and the decision.

    brightness and threshold are grey levels; the foreground shares are fractions of the pixels of
    the whole image, of its frame (the outer 10 px) and of its interior (the rest).
    """

    kind: Kind
    reason: str
    brightness: float
    threshold: float
    foreground: float
    frame_foreground: float
    interior_foreground: float
    images: int


@dataclass(frozen=True)
class Decision:
    """Object or texture, and why.

    background is (brightness, threshold) in grey levels, None where no object is told from it;
    measured is what was measured, None where the class table decides; row is that table's.
    """

    kind: Kind
    background: BackgroundLevels | None
    reason: str
    measured: Background | None
    row: Mapping[str, Any]


def object_mask(image: NDArray[np.uint8], brightness: float, threshold: float) -> NDArray[np.bool_]:
    """Return where an image [H, W, 3] differs from its background, after a 7x7 median, [H, W]."""
    return majority(np.abs(channel_mean(image) - brightness) > threshold, _MASK_MEDIAN)


def measure_background(images: Sequence[NDArray[np.uint8]]) -> Background:
    """Measure the background of up to 20 images uint8 [H, W, 3], evenly spaced in the sequence.

    The background's brightness is the median of the images' frames, the threshold is Otsu's on the
    distance to it. A texture is what has hardly any foreground, more than 90 % of it, or a frame
    that holds more than half as much as the interior: Otsu splits any noise in two, but only an
    object leaves the frame to the background. A texture that darkens towards the border looks like
    an object to this rule; synthesize.kind overrides it.

    Raises:
        DataError: there is no image.
    """
    chosen = spread(images, MEASURED_IMAGES)
    if not chosen:
        raise DataError("the background cannot be measured without images; prepare the data first")
    brightness = float(np.median(np.concatenate([channel_mean(i)[_frame(i)] for i in chosen])))
    threshold = max(_otsu(chosen, brightness), SMALLEST_THRESHOLD)
    masks = [object_mask(image, brightness, threshold) for image in chosen]
    frame = _share(m[_frame(i)] for m, i in zip(masks, chosen, strict=True))
    interior = _share(m[~_frame(i)] for m, i in zip(masks, chosen, strict=True))
    whole = _share(m.ravel() for m in masks)
    kind, reason = _decide(whole, frame, interior)
    return Background(kind, reason, brightness, threshold, whole, frame, interior, len(chosen))


def spread(items: Sequence[Item], limit: int) -> list[Item]:
    """Return at most `limit` items, evenly spaced from the first to the last."""
    places = np.linspace(0, len(items) - 1, min(len(items), limit)).round().astype(int)
    return [items[place] for place in places]


def _decide(whole: float, frame: float, interior: float) -> tuple[Kind, str]:
    if whole < SMALLEST_FOREGROUND:
        return "texture", f"texture: no object stands out, foreground is {whole:.1%} of the image"
    if whole > LARGEST_FOREGROUND:
        return "texture", f"texture: foreground fills {whole:.1%} of the image"
    shares = f"foreground is {frame:.1%} of the frame and {interior:.1%} of the interior"
    if frame > LARGEST_FRAME_RATIO * interior:
        return "texture", f"texture: {shares}, so the frame is no background"
    return "object", f"object: {shares}"


def _frame(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    height, width = image.shape[:2]
    border = max(1, min(FRAME_WIDTH, min(height, width) // 8))
    frame = np.ones((height, width), bool)
    frame[border:-border, border:-border] = False
    return frame


def _otsu(images: Sequence[NDArray[np.uint8]], brightness: float) -> float:
    distances = [np.abs(channel_mean(image) - brightness).ravel() for image in images]
    levels = np.concatenate(distances).round().astype(np.uint8)[:, None]
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return float(threshold)


def _share(masks: Iterable[NDArray[np.bool_]]) -> float:
    return float(np.concatenate(list(masks)).mean())


def decide(
    dataset: str,
    category: str,
    settings: "SynthesizeSettings",
    images: Sequence[NDArray[np.uint8]],
) -> Decision:
    """Decide on a category: by `settings.kind`, else the class table, else by measurement.

    The training images uint8 [H, W, 3] are looked at only where the table has no kind.
    """
    listed = "kind" in _class_row(dataset, category)
    measured = None if listed else measure_background(images)
    return decide_from(dataset, category, settings, measured)


def decide_from(
    dataset: str, category: str, settings: "SynthesizeSettings", measured: Background | None
) -> Decision:
    """Decide as `decide` does from what was measured then, None where the table has the kind."""
    row = _class_row(dataset, category)
    listed: Kind | None = row.pop("kind", None)
    background = row.pop("background", None)
    if measured is not None:
        kind, reason = measured.kind, measured.reason
        background = (measured.brightness, measured.threshold)
    elif listed is not None:
        kind, reason = listed, f"{listed}: listed in the class table of NSA"
    if settings.kind != "auto":
        kind, reason = settings.kind, f"{settings.kind}: set by synthesize.kind"
    levels = None if kind == "texture" or background is None else tuple(background)
    return Decision(kind, levels, reason, measured, row)


def _class_row(dataset: str, category: str) -> dict[str, Any]:
    return dict(class_table()["classes"].get(dataset, {}).get(category, {}))


@cache
def class_table() -> dict[str, Any]:
    """Return NSA's settings by kind and by class, from `nsa_classes.yaml`."""
    text = (files("clflow.synthesis") / "nsa_classes.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = YAML(typ="safe").load(text)
    for rows in (table["kinds"], *table["classes"].values()):
        for row in rows.values():
            row["logistic_k"] = float(Fraction(row["logistic_k"]))
    return table
