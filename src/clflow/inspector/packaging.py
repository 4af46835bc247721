"""A fitted detector as a package, and back."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save

from clflow.decision.calibration import Calibration
from clflow.decision.card import write_card
from clflow.decision.package import (
    BACKBONE,
    CARD,
    HISTORY,
    SHIFT,
    is_package,
    read_package,
    seal,
    write_calibration,
    write_region,
)
from clflow.decision.region_of_interest import RegionOfInterest
from clflow.detectors.saved import load_detector, read_description
from clflow.errors import DataError
from clflow.files import write_bytes, write_text
from clflow.inspector.shift import draw_shift
from clflow.version import package_version

if TYPE_CHECKING:
    import torch

    from clflow.detectors.protocol import Detector


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted detector and all that its package says.

    Attributes:
        contents: what package.json says of its origin.
        settings: all of the method's.
    """

    detector: "Detector"
    contents: Mapping[str, Any]
    calibration: Calibration | None
    region: RegionOfInterest | None
    method: str
    seed: int
    settings: Mapping[str, Any]

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Return the sizes (width, height) of the images of the training."""
        return tuple((w, h) for w, h, _ in self.contents["data"]["sizes"])


def write_package(folder: Path, fitted: Fitted, *, backbone: bool) -> dict[str, Any]:
    """Write a package into an empty folder and return the content of its package.json.

    Raises:
        StorageError: a file cannot be written.
    """
    fitted.detector.save(folder)
    weights = fitted.detector.frozen_weights()
    if backbone and weights is not None:
        tensors = {name: value.cpu().contiguous() for name, value in weights.items()}
        write_bytes(folder / BACKBONE, save(tensors))
    if fitted.calibration is not None:
        write_calibration(folder, fitted.calibration)
        if fitted.calibration.set_anew:
            draw_shift(fitted.calibration, folder / SHIFT)
    if fitted.region is not None:
        write_region(folder, fitted.region)
    if fitted.detector.history_:
        write_text(folder / HISTORY, history_table(fitted.detector.history_))
    contents = {**fitted.contents, "method": fitted.method, "seed": fitted.seed}
    contents["clflow"] = package_version()
    contents["region"] = None if fitted.region is None else fitted.region.as_dict()
    contents["backbone"] = _backbone(fitted.settings, backbone) if weights is not None else None
    write_text(folder / CARD, write_card(contents, fitted.calibration))
    return seal(folder, contents)


def read_fitted(folder: Path, device: "str | torch.device | None" = None) -> tuple[Fitted, str]:
    """Read a package, every file checked, and return it with its digest.

    Raises:
        DataError: it is no package, or it is damaged, or of a newer version.
        SettingsError: the method's packages are not installed, the device is not usable, or the
            backbone's weights are not those it was trained with.
    """
    if not is_package(folder):
        # says best what else the folder may be
        load_detector(folder, device)
        raise DataError(
            f"{folder} holds a model without {CARD} and thresholds: an older version of clflow "
            "wrote it; train again, in a study with `dvc repro`"
        )
    package = read_package(folder)
    detector = load_detector(folder, device, package.weights)
    detector.history_ = _read_history(folder / HISTORY)
    description = read_description(folder)
    for key in ("method", "seed"):
        if description[key] != package.contents[key]:
            raise DataError(
                f"{folder}: package.json and model.json name another {key}; copy the package again"
            )
    own = ("format", "files", "digest", "clflow", "method", "seed", "region", "backbone")
    fitted = Fitted(
        detector=detector,
        contents={key: value for key, value in package.contents.items() if key not in own},
        calibration=package.calibration,
        region=package.region,
        method=description["method"],
        seed=description["seed"],
        settings=description["settings"],
    )
    return fitted, package.digest


def check_free(folder: Path) -> None:
    """Refuse to write a package where something else is.

    Raises:
        DataError: the folder is a file, or holds anything but a package.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give a new folder to save the detector in")
    if folder.is_dir() and any(folder.iterdir()) and not is_package(folder):
        raise DataError(
            f"{folder} holds other files than those of a saved detector: give a new folder"
        )


def history_table(rows: Sequence[Mapping[str, float]]) -> str:
    """Return the logged steps of training as CSV, a column for each value that any step has."""
    text = io.StringIO()
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: _number(text) for name, text in row.items() if text} for row in rows]


def _number(text: str) -> float:
    value = float(text)
    return int(value) if text.isdecimal() else value


def _backbone(settings: Mapping[str, Any], included: bool) -> dict[str, Any]:
    return {"name": settings["backbone"]["name"], "included": included}
