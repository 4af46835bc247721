"""Writing a fitted detector and its held-out scores into a folder: the package but for its card."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clflow.data.region_of_interest import RegionOfInterest
from clflow.decision.sealing import BACKBONE, HISTORY, seal, write_calibration, write_region
from clflow.files import write_bytes, write_text
from clflow.version import package_version

if TYPE_CHECKING:
    from clflow.detectors.protocol import Detector


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted detector and what its package says.

    Attributes:
        method, seed: what it was fitted by.
        settings: all of the method's, as JSON has them.
        origin: what package.json says of where it comes from.
        calibration: the content of calibration.json, None where no good image was held out.
        region: what of an image counts, None for all.
    """

    detector: "Detector"
    method: str
    seed: int
    settings: Mapping[str, Any]
    origin: Mapping[str, Any]
    calibration: Mapping[str, Any] | None = None
    region: RegionOfInterest | None = None


def write_files(folder: Path, fitted: Fitted, *, backbone: bool) -> dict[str, Any]:
    """Write all files but package.json and return what that is to say; `seal` writes it.

    Raises:
        StorageError: a file cannot be written.
    """
    # brings torch, which is not needed to make or to name a detector
    from safetensors.torch import save

    detector = fitted.detector
    detector.save(folder)
    weights = detector.frozen_weights()
    if backbone and weights is not None:
        tensors = {name: value.cpu().contiguous() for name, value in weights.items()}
        write_bytes(folder / BACKBONE, save(tensors))
    if fitted.calibration is not None:
        write_calibration(folder, fitted.calibration)
    if fitted.region is not None:
        write_region(folder, fitted.region)
    write_text(folder / HISTORY, history_table(detector.history_))
    named = None
    if weights is not None:
        named = {"name": fitted.settings["backbone"]["name"], "included": backbone}
    return {
        **fitted.origin,
        "clflow": package_version(),
        "method": fitted.method,
        "seed": fitted.seed,
        "backbone": named,
        "region": None if fitted.region is None else fitted.region.as_dict(),
    }


def write_package(folder: Path, fitted: Fitted, *, backbone: bool) -> None:
    """Write a package without a card into a folder; what is there already becomes part of it.

    Raises:
        StorageError: a file cannot be written.
    """
    seal(folder, write_files(folder, fitted, backbone=backbone))


def history_table(rows: Sequence[Mapping[str, float]]) -> str:
    """Return the logged steps of training as CSV, a column for each value that any step has."""
    text = io.StringIO()
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
