"""A package read back, and what else its folder may be."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from clflow.decision.package import Package, is_package, read_contents, read_package
from clflow.decision.sealing import CONTENTS, HISTORY
from clflow.detectors.saved import load_detector, read_description
from clflow.errors import DataError
from clflow.inspector.packaging import Fitted

if TYPE_CHECKING:
    import torch

# what package.json says beside where the detector comes from
_OWN = ("format", "files", "digest", "clflow", "method", "seed", "region", "backbone")


def read_fitted(folder: Path, device: "str | torch.device | None" = None) -> tuple[Fitted, Package]:
    """Read a package, every file checked.

    Raises:
        DataError: it is no package, or it is damaged, or of a newer version.
        SettingsError: the method's packages are not installed, the device is not usable, or the
            backbone's weights are not those it was trained with.
    """
    if not is_package(folder):
        # says best what else the folder may be
        load_detector(folder, device)
        raise DataError(
            f"{folder} holds a model without {CONTENTS}: an older version of clflow wrote it; "
            "train again, in a study with `dvc repro`"
        )
    package = read_package(folder)
    detector = load_detector(folder, device, package.weights)
    detector.history_ = _read_history(folder / HISTORY)
    description = read_description(folder)
    for key in ("method", "seed"):
        if description[key] != package.contents[key]:
            raise DataError(
                f"{folder}: {CONTENTS} and model.json name another {key}; copy the package again"
            )
    calibration = package.calibration
    fitted = Fitted(
        detector=detector,
        method=description["method"],
        seed=description["seed"],
        settings=description["settings"],
        origin={key: value for key, value in package.contents.items() if key not in _OWN},
        calibration=None if calibration is None else calibration.as_dict(),
        region=package.region,
    )
    return fitted, package


def check_free(folder: Path) -> None:
    """Refuse to write a package where something else is.

    Raises:
        DataError: the folder is a file, or holds anything but a package.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give a new folder to save the detector in")
    own = {CONTENTS, *read_contents(folder)["files"]} if is_package(folder) else set()
    if folder.is_dir() and not {path.name for path in folder.iterdir()} <= own:
        raise DataError(
            f"{folder} holds other files than those of a saved detector: give a new folder"
        )


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{name: _number(text) for name, text in row.items() if text} for row in rows]


def _number(text: str) -> float:
    value = float(text)
    return int(value) if text.isdecimal() else value
