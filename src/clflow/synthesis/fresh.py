"""Training data of images alone: anomalies made for the occasion, gone after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from clflow.data.images import FileImages, ImageSource, write_png
from clflow.data.reading import AS_USUAL, NONE_IGNORED, Ignored, reading_text
from clflow.data.records import GOOD, Manifest, Record
from clflow.data.region_of_interest import PaintedImages, RegionOfInterest, seen
from clflow.files import sha256_of
from clflow.synthesis.bank import read_bank, write_bank
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import TrainingData, bank_data


@dataclass(frozen=True)
class Named:
    """The names of a category, of which the content of a bank depends: as a study has them."""

    dataset: str = "given"
    category: str = "images"


@dataclass(frozen=True)
class FreshAnomalies:
    """Good images with anomalies made of them, and anomalies made of held-out images.

    Attributes:
        shapes: height and width of each good image.
    """

    data: TrainingData
    held_out: FileImages
    shapes: tuple[tuple[int, int], ...]


@contextmanager
def fresh_anomalies(
    images: ImageSource,
    settings: SynthesizeSettings,
    held_out: ImageSource | None = None,
    names: Named | None = None,
) -> Iterator[FreshAnomalies]:
    """Yield good images with synthetic anomalies made from them, as long as the block lasts.

    The anomalies follow from the content of the images, their order, the names and the settings:
    they are those of the bank of a study whose images, names and settings are the same. What is
    ignored of the good images is ignored of the held-out ones too.

    Raises:
        DataError: too many anomalies found no place, or there is a single image.
    """
    with TemporaryDirectory(prefix="clflow-") as name:
        folder, names = Path(name), names or Named()
        region = images.region if isinstance(images, PaintedImages) else None
        ignored = NONE_IGNORED if region is None else _ignored(region, folder)
        good = _files(images, folder / "good")
        others = _files(held_out, folder / "held_out") if held_out is not None else FileImages(())
        records = [*_records(good, "train", ignored), *_records(others, "validation", ignored)]
        manifest = Manifest(names.category, tuple(records))
        # of a single image nothing can be taken over to another
        chosen = settings if len(others) > 1 else _without_validation(settings)
        write_bank(manifest, folder, folder / "bank", names.dataset, chosen)
        rows = read_bank(folder / "bank", "validation")
        made = FileImages(tuple(row.image for row in rows))
        shapes = tuple((record.height, record.width) for record in manifest.train)
        known = seen(good, region)
        data = bank_data(known, folder / "bank") if chosen.per_image else TrainingData(known)
        yield FreshAnomalies(data, made, shapes)


def _without_validation(settings: SynthesizeSettings) -> SynthesizeSettings:
    return settings.model_copy(update={"validation_per_image": 0})


def _ignored(region: RegionOfInterest, folder: Path) -> Ignored:
    """Write the mask of what is ignored, if there is one, and return what a manifest says of it."""
    if region.ignored is None:
        return Ignored(region.border)
    mask = folder / "ignored.png"
    write_png(mask, region.ignored)
    return Ignored(region.border, mask.name, sha256_of(mask))


def _files(images: ImageSource, folder: Path) -> FileImages:
    """Return images in files, whole, in the order of their paths as a manifest has them."""
    if isinstance(images, PaintedImages):
        images = images.images
    if isinstance(images, FileImages):
        resolved = [path.resolve() for path in images.paths]
        order = sorted(range(len(images)), key=lambda place: resolved[place].as_posix())
        readings = tuple(images.readings[place] for place in order) if images.readings else ()
        return FileImages(tuple(resolved[place] for place in order), readings, images.max_pixels)
    paths = [folder / f"{index:06d}.png" for index in range(len(images))]
    for index, path in enumerate(paths):
        write_png(path, images[index])
    return FileImages(tuple(paths))


def _records(images: FileImages, split: str, ignored: Ignored) -> Iterator[Record]:
    for index, path in enumerate(images.paths):
        height, width = images[index].shape[:2]
        how = images.readings[index] if images.readings else AS_USUAL
        digest, text = images.contents[index], reading_text(how, ignored)
        yield Record(path.as_posix(), digest, width, height, 0, GOOD, None, split, text)
