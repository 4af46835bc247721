"""From a package to an export that decides as it does, or to an error that says where not."""

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clflow.data.given import good_images
from clflow.decision.sealing import CALIBRATION, CARD, PROBES, REGION, seal
from clflow.errors import DataError
from clflow.export.parity import Parity
from clflow.export.writing import export_detector
from clflow.files import atomic_folder
from clflow.inspector.loading import check_free, read_fitted
from clflow.inspector.probes import read_probes
from clflow.runtime.description import EngineName

# of a package, what an export needs too
_KEPT = (CALIBRATION, CARD, REGION)


def export_package(
    package: Path, out: Path, engine: EngineName = "onnx", good: Path | None = None
) -> Parity:
    """Export a package into a folder that `clflow.runtime.load` reads; return how it compares.

    The detector and its export score the probes of the package, held-out good images and
    anomalies made of them, and good images that are given.

    Args:
        package: what `clflow fit` or a study wrote.
        out: a new folder, or that of another export, which is replaced.
        engine: what will compute.
        good: a folder of more good images to compare on.

    Raises:
        DataError: the export does not score or decide as the detector; or there are no images to
            compare by; or the package is damaged.
        SettingsError: the method cannot be exported, or packages are missing.
        StorageError: the folder cannot be written.
    """
    check_free(out)
    fitted, read = read_fitted(package, "cpu")
    images = _compared(read.folder, PROBES in read.contents["files"], good)
    if fitted.region is not None:
        images = [fitted.region.painted(image) for image in images]
    threshold = None if read.calibration is None else read.calibration.image.threshold
    with atomic_folder(out) as partial:
        # only what decides as the detector comes out of this, or an error
        parity = export_detector(
            fitted.detector,
            partial,
            engine,
            images=images,
            threshold=threshold,
            shapes=[(height, width) for width, height in read.sizes],
        )
        assert parity is not None  # there are images
        for name in _KEPT:
            if (package / name).is_file():
                shutil.copyfile(package / name, partial / name)
        own = {key: value for key, value in read.contents.items() if key not in ("files", "digest")}
        seal(partial, own | {"package": read.digest, "export": engine})
    return parity


def _compared(package: Path, has_probes: bool, good: Path | None) -> list[NDArray[np.uint8]]:
    images: list[NDArray[np.uint8]] = []
    if has_probes:
        images += read_probes(package / PROBES)
    if good is not None:
        found = good_images(good)
        images += [found[place] for place in range(len(found))]
    if not images:
        raise DataError(
            f"{package} holds no images to compare the export by, as a study's model: give good "
            "images with --good"
        )
    return images
