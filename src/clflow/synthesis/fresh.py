"""Training data of images alone: anomalies made for the occasion, gone after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from clflow.data.images import FileImages, ImageSource, write_png
from clflow.data.records import GOOD, Manifest, Record
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
    they are those of the bank of a study whose images, names and settings are the same.

    Raises:
        DataError: too many anomalies found no place, or there is a single image.
    """
    with TemporaryDirectory(prefix="clflow-") as name:
        folder, names = Path(name), names or Named()
        good = _files(images, folder / "good")
        others = _files(held_out, folder / "held_out") if held_out is not None else FileImages(())
        records = [*_records(good, "train"), *_records(others, "validation")]
        manifest = Manifest(names.category, tuple(records))
        # of a single image nothing can be taken over to another
        chosen = settings if len(others) > 1 else _without_validation(settings)
        write_bank(manifest, folder, folder / "bank", names.dataset, chosen)
        rows = read_bank(folder / "bank", "validation")
        made = FileImages(tuple(row.image for row in rows))
        shapes = tuple((record.height, record.width) for record in manifest.train)
        data = bank_data(good, folder / "bank") if chosen.per_image else TrainingData(good)
        yield FreshAnomalies(data, made, shapes)


def _without_validation(settings: SynthesizeSettings) -> SynthesizeSettings:
    return settings.model_copy(update={"validation_per_image": 0})


def _files(images: ImageSource, folder: Path) -> FileImages:
    """Return images in files, in the order of their paths as a manifest has them."""
    if isinstance(images, FileImages):
        resolved = [path.resolve() for path in images.paths]
        order = sorted(range(len(images)), key=lambda place: resolved[place].as_posix())
        readings = tuple(images.readings[place] for place in order) if images.readings else ()
        return FileImages(tuple(resolved[place] for place in order), readings, images.max_pixels)
    paths = [folder / f"{index:06d}.png" for index in range(len(images))]
    for index, path in enumerate(paths):
        write_png(path, images[index])
    return FileImages(tuple(paths))


def _records(images: FileImages, split: str) -> Iterator[Record]:
    for index, path in enumerate(images.paths):
        height, width = images[index].shape[:2]
        reading = str(images.readings[index]) if images.readings else ""
        digest = images.contents[index]
        yield Record(path.as_posix(), digest, width, height, 0, GOOD, None, split, reading)
