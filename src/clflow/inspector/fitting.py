"""From good images to a fitted detector with thresholds: what is held out, and what is noted."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clflow.data.depth import find_depth, white_of_16_bits
from clflow.data.given import GOOD_PLACES, good_images
from clflow.data.images import ArrayImages, FileImages, ImageSource
from clflow.data.inspection import inspect_files
from clflow.data.manifest import draw_contents
from clflow.data.preparation import PrepareSettings
from clflow.data.reading import AS_USUAL, Reading
from clflow.data.region_of_interest import RegionOfInterest, seen
from clflow.decision.calibration import KINDS
from clflow.errors import DataError, SettingsError
from clflow.progress import say
from clflow.synthesis.fresh import FreshAnomalies, Named, fresh_anomalies
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import TrainingData

if TYPE_CHECKING:
    from pydantic import BaseModel

    from clflow.detectors.protocol import Detector

# detectors that are fitted again for cross-calibration, without a part of the images each
FOLDS = 5
# from so few images none is held out: each is needed to learn from
_LEAST = 4


@dataclass(frozen=True)
class Split:
    """Good images to learn from, and others that thresholds come from."""

    train: ImageSource
    held_out: ImageSource


def split_good(images: ImageSource, category: str, region: RegionOfInterest | None = None) -> Split:
    """Return good images in two parts, drawn by their content: as the stage `prepare` does.

    Pixels that are ignored are no content, and are painted over. Where so many cannot be spared, a
    quarter is held out; of fewer than four images, none.
    """
    settings, digests = PrepareSettings(), _contents(images, region)
    contents = set(digests)
    size = max(settings.validation_minimum, round(settings.validation_fraction * len(contents)))
    if len(contents) - size < settings.training_minimum:
        size = len(contents) // _LEAST
    drawn = draw_contents(contents, size, category, settings)
    parts = [
        [i for i, own in enumerate(digests) if (own in drawn) is held] for held in (False, True)
    ]
    return Split(*(seen(some_of(images, part), region) for part in parts))


def _contents(images: ImageSource, region: RegionOfInterest | None) -> tuple[str, ...]:
    """Return what the draw knows each image by: its digest, or that of the pixels that count."""
    if region is None:
        return images.digests
    if isinstance(images, FileImages):
        looks = [one.look for one in inspect_files(images.paths, PrepareSettings(), region)]
        return tuple(look.digest for look in looks if look)
    painted = (region.painted(images[place]) for place in range(len(images)))
    return tuple(digest for image in painted for digest in ArrayImages([image]).digests)


def divided(
    images: ImageSource, category: str, calibration: str, region: RegionOfInterest | None = None
) -> Split:
    """Return what is learned from and what is held out, by the kind of calibration.

    Raises:
        SettingsError: there is no such kind.
        DataError: there are too few images for it.
    """
    if calibration not in KINDS:
        raise SettingsError(f"calibration is {calibration!r}: allowed are {' and '.join(KINDS)}")
    if calibration == "split":
        return split_good(images, category, region)
    if len(images) < 2 * FOLDS:
        raise DataError(
            f"{len(images)} good images are too few for cross-calibration: give at least "
            f"{2 * FOLDS}, or use calibration 'split'"
        )
    return Split(seen(images, region), ArrayImages(()))


def without(images: ImageSource, mask: object) -> ImageSource:
    """Return images but for the file of a mask, which may lie among them."""
    if not isinstance(images, FileImages) or not isinstance(mask, str | os.PathLike):
        return images
    own = Path(mask).resolve()
    return some_of(
        images, [place for place, path in enumerate(images.paths) if path.resolve() != own]
    )


def some_of(images: ImageSource, places: Sequence[int]) -> ImageSource:
    """Return the images at some places of a source."""
    if isinstance(images, FileImages):
        readings = tuple(images.readings[place] for place in places) if images.readings else ()
        paths = tuple(images.paths[place] for place in places)
        return FileImages(paths, readings, images.max_pixels)
    return ArrayImages([images[place] for place in places])


def find_reading(images: object, region: RegionOfInterest | None = None) -> Reading:
    """Return how good images are read: which value is white in those of more than 8 bits.

    Cameras of 10 or 12 bits leave most of 16 bits empty: without this, few grey levels are left.
    Pixels that are ignored have no say.

    Raises:
        DataError: the images have several depths, or one cannot be read.
    """
    if isinstance(images, Sequence) and not isinstance(images, str):
        arrays = [one for one in images if isinstance(one, np.ndarray)]
        if arrays:
            deep = [one for one in arrays if one.dtype == np.uint16 and one.size]
            peaks = [_peak(one, region) for one in deep]
            return Reading(white_of_16_bits(max(peaks)) if peaks else None)
    # says what is wrong with what is no good images
    source = good_images(images)  # type: ignore[arg-type]
    if not isinstance(source, FileImages):
        return AS_USUAL
    settings = PrepareSettings()
    findings = inspect_files(source.paths, settings, region)
    depth = find_depth(findings, settings)
    if problems := [*(one.problem for one in findings if one.problem), *depth.problems]:
        more = f" (and {len(problems) - 1} more problems)" if len(problems) > 1 else ""
        raise DataError(f"{problems[0]}{more}")
    for note in depth.notes:
        say(note)
    return Reading(depth.white)


def _peak(pixels: NDArray[np.uint16], region: RegionOfInterest | None) -> float:
    counted = pixels if region is None else pixels[~region.at(*pixels.shape[:2])]
    return float(counted.max())


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
