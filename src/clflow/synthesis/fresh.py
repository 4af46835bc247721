"""Training data of images alone: anomalies made for the occasion, gone after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from clflow.data.images import FileImages, ImageSource, write_png
from clflow.data.records import GOOD, Manifest, Record
from clflow.synthesis.bank import write_bank
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import TrainingData, bank_data


@contextmanager
def fresh_anomalies(images: ImageSource, settings: SynthesizeSettings) -> Iterator[TrainingData]:
    """Yield good images with synthetic anomalies made from them, as long as the block lasts.

    The anomalies follow from the content of the images, their order and the settings.

    Raises:
        DataError: too many anomalies found no place, or there is a single image.
    """
    with TemporaryDirectory(prefix="clflow-") as name:
        folder = Path(name)
        good = _files(images, folder / "good")
        manifest = Manifest("images", tuple(_record(good, index) for index in range(len(good))))
        # none for validation: nothing is held out
        chosen = settings.model_copy(update={"validation_per_image": 0})
        write_bank(manifest, folder, folder / "bank", "given", chosen)
        yield bank_data(good, folder / "bank")


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


def _record(images: FileImages, index: int) -> Record:
    height, width = images[index].shape[:2]
    path = images.paths[index].as_posix()
    reading = str(images.readings[index]) if images.readings else ""
    digest = images.contents[index]
    return Record(path, digest, width, height, 0, GOOD, None, "train", reading)
