"""From good images to a fitted detector with thresholds: what is held out, and what is noted."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.assessment import PrepareSettings
from clflow.data.given import GOOD_PLACES
from clflow.data.images import ArrayImages, FileImages, ImageSource
from clflow.data.manifest import draw_contents
from clflow.decision.calibration import Calibration, Rates
from clflow.decision.package import sizes_of
from clflow.decision.prediction import Judge
from clflow.decision.region_of_interest import RegionOfInterest, seen
from clflow.errors import DataError
from clflow.files import digest_of
from clflow.metrics.image import image_metrics
from clflow.progress import say, silent
from clflow.synthesis.fresh import FreshAnomalies, Named, fresh_anomalies
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import TrainingData

if TYPE_CHECKING:
    from pydantic import BaseModel

    from clflow.detectors.protocol import Detector

# as many as a backbone sees at once
AT_ONCE = 16
LIBRARIES = ("torch", "timm", "numpy", "opencv-python")
# from so few images none is held out: each is needed to learn from
_LEAST = 4

Scored = tuple[NDArray[np.uint8], float, NDArray[np.float32]]


@dataclass(frozen=True)
class Split:
    """Good images to learn from, and others that thresholds come from."""

    train: ImageSource
    held_out: ImageSource

    def seen(self, region: RegionOfInterest | None) -> "Split":
        """Return the images as a detector sees them."""
        return Split(seen(self.train, region), seen(self.held_out, region))


def split_good(images: ImageSource, category: str) -> Split:
    """Return good images in two parts, drawn by their content: as the stage `prepare` does.

    Where so many cannot be spared, a quarter is held out; of fewer than four images, none.
    """
    settings, digests = PrepareSettings(), images.digests
    contents = set(digests)
    size = max(settings.validation_minimum, round(settings.validation_fraction * len(contents)))
    if len(contents) - size < settings.training_minimum:
        size = len(contents) // _LEAST
    drawn = draw_contents(contents, size, category, settings)
    parts = [
        [i for i, own in enumerate(digests) if (own in drawn) is held] for held in (False, True)
    ]
    return Split(*(_some(images, part) for part in parts))


def _some(images: ImageSource, places: Sequence[int]) -> ImageSource:
    if isinstance(images, FileImages):
        return FileImages(tuple(images.paths[place] for place in places))
    return ArrayImages([images[place] for place in places])


def names_of(images: object, dataset: str | None = None, category: str | None = None) -> Named:
    """Return the names of a category: those given, else as a study of its parent folder has them.

    >>> names_of("mvtec_ad/bottle/train/good")
    Named(dataset='mvtec_ad', category='bottle')
    >>> names_of([])
    Named(dataset='given', category='images')
    """
    usual = Named()
    if not isinstance(images, str | os.PathLike):
        return Named(dataset or usual.dataset, category or usual.category)
    folder = Path(images).absolute()
    for place in GOOD_PLACES:
        tail = Path(place).parts
        if tail and folder.parts[-len(tail) :] == tail:
            folder = folder.parents[len(tail) - 1]
    return Named(
        dataset or folder.parent.name or usual.dataset, category or folder.name or usual.category
    )


@contextmanager
def training_material(
    detector: "Detector", split: Split, settings: "BaseModel", names: Named
) -> Iterator[FreshAnomalies]:
    """Yield training data, with anomalies of the detector's input size where it needs them."""
    own = SynthesizeSettings(**settings.model_dump(include={"image_size", "aspect"}))
    with ExitStack() as stack:
        if detector.learns_from_anomalies:
            found = fresh_anomalies(split.train, own, split.held_out, names)
            yield stack.enter_context(found)
            return
        few = own.model_copy(update={"per_image": 0})
        try:
            found = fresh_anomalies(split.train, few, split.held_out, names)
            material = stack.enter_context(found)
        except DataError as error:
            # they are a figure on the card here, and nothing depends on it
            say(f"synthetic anomalies of held-out images are left out: {error}")
            images = (split.train[place] for place in range(len(split.train)))
            shapes = tuple((image.shape[0], image.shape[1]) for image in images)
            material = FreshAnomalies(TrainingData(split.train), FileImages(()), shapes)
        yield material


def score_all(
    detector: "Detector", images: ImageSource, region: RegionOfInterest | None = None
) -> Iterator[Scored]:
    """Yield image, raw score and map [S, S] of each image, a batch in memory at a time."""
    for start in range(0, len(images), AT_ONCE):
        some = [images[place] for place in range(start, min(start + AT_ONCE, len(images)))]
        with silent():
            found = detector.score(seen(ArrayImages(some), region))
        for image, score, own in zip(some, found.image_scores, found.anomaly_maps, strict=True):
            yield image, float(score), own


def calibrate(
    detector: "Detector",
    images: ImageSource,
    region: RegionOfInterest | None,
    rates: Rates,
    reference: NDArray[np.float64] | None = None,
) -> Calibration:
    """Return the thresholds that good images give, which the detector was not trained on.

    Raises:
        DataError: there is none, or a score is not finite.
    """
    judge, rows = Judge(region=region), []
    for image, score, own in score_all(detector, images, region):
        whole = judge.own_map(own, (image.shape[1], image.shape[0]))
        rows.append((score, float(whole.max()), float(whole.min())))
    scores, peaks, lowest = np.array(rows).reshape(-1, 3).T
    floor = float(np.median(lowest)) if rows else 0.0
    return Calibration.of(scores, peaks, rates, reference, floor)


def synthetic_auroc(
    detector: "Detector", calibration: Calibration | None, anomalies: ImageSource
) -> float | None:
    """Return the image AUROC between held-out good images and anomalies made of them.

    None where there are none.
    """
    if calibration is None or not len(anomalies):
        return None
    found = [score for _, score, _ in score_all(detector, anomalies)]
    labels = [0] * len(calibration.scores) + [1] * len(found)
    return image_metrics(labels, [*calibration.scores, *found])["image_auroc"]


def noted(images: Split, names: Named, shapes: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return what a package says of where it comes from; `shapes` (H, W) are of the training."""
    return {
        "category": names.category,
        "dataset": names.dataset,
        "data": {
            "train": len(images.train),
            "held_out": len(images.held_out),
            "sizes": sizes_of(shapes),
            "digest": digest_of(list(images.train.digests)),
            "held_out_digest": digest_of(list(images.held_out.digests)),
        },
        "versions": {"python": python_version()} | {name: version(name) for name in LIBRARIES},
    }
