"""What a person looks at, or a program reads, of a prediction: overlay, mask, map."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.canvas import edged, heat, title_bar
from clflow.data.images import write_png
from clflow.decision.calibration import Calibration
from clflow.decision.prediction import Prediction
from clflow.decision.regions import region_mask
from clflow.errors import SettingsError
from clflow.files import atomic_path, write_bytes

MapFormat = Literal["npy", "tiff"]

# names of files say which image they are of, and no file system refuses them
_LONGEST = 80
_STRANGE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Pictures:
    """Which files are written for each image, below `folder`.

    All overlays of a package have one colour scale: black where good images have their lowest
    scores, the middle at the pixel threshold.
    """

    folder: Path
    overlays: bool = False
    masks: bool = False
    maps: MapFormat | None = None
    minimum_area: int = 1

    def check(self, calibration: Calibration | None) -> None:
        """Refuse what needs a threshold where there is none.

        Raises:
            SettingsError: see above.
        """
        if calibration is None and (self.overlays or self.masks):
            raise SettingsError(
                "overlays and masks need thresholds, and the package has none: set them with "
                "`clflow calibrate`"
            )

    def write(
        self,
        number: int,
        image: NDArray[np.uint8],
        found: Prediction,
        calibration: Calibration | None,
    ) -> None:
        """Write the files of the image with a number in the results.

        Raises:
            StorageError: one cannot be written.
        """
        name = file_name(number, found.path or "image")
        if calibration is not None and self.overlays:
            picture = overlay(image, found, calibration, self.minimum_area)
            write_png(self.folder / "overlays" / f"{name}.png", picture)
        if calibration is not None and self.masks:
            threshold = calibration.pixel.threshold
            mask = region_mask(found.anomaly_map, threshold, self.minimum_area)
            write_png(self.folder / "masks" / f"{name}.png", mask)
        if self.maps is not None:
            _write_map(self.folder / "maps" / f"{name}.{self.maps}", found.anomaly_map)


def file_name(number: int, path: str) -> str:
    """Return a name of letters that any file system takes, unique by its number.

    >>> file_name(7, "line 3/part é.png")
    '000007-part_'
    """
    stem = _STRANGE.sub("_", Path(path).stem)[:_LONGEST]
    return f"{number:06d}-{stem}"


def overlay(
    image: NDArray[np.uint8], found: Prediction, calibration: Calibration, minimum_area: int = 1
) -> NDArray[np.uint8]:
    """Return an image with the outlines of its regions beside its map, a title above."""
    threshold = calibration.pixel.threshold
    span = max(2 * (threshold - calibration.floor), float(np.finfo(np.float32).tiny))
    levels = ((found.anomaly_map - calibration.floor) / span).clip(0, 1)
    mask = region_mask(found.anomaly_map, threshold, minimum_area)
    panels = [edged(image, mask), heat((255 * levels).astype(np.uint8))]
    picture = np.concatenate(panels, axis=1)
    title = (
        f"{found.decision}  score {found.score:.5g}  threshold {found.threshold:.5g}  "
        f"false-alarm rate {found.false_alarm_rate:.3g}"
    )
    return np.concatenate([title_bar(title, picture.shape[1]), picture], axis=0)


def _write_map(path: Path, anomaly_map: NDArray[np.float32]) -> None:
    if path.suffix == ".npy":
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.save(file, anomaly_map)
    else:
        write_bytes(path, cv2.imencode(".tiff", anomaly_map)[1].tobytes())
