"""A fitted detector written as graphs that run without PyTorch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clflow.alignment.registration import Registration
from clflow.data.images import fitted_size
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.gaussian.detector import FydDetector
from clflow.detectors.protocol import Detector
from clflow.detectors.scoring import drawing_operator
from clflow.errors import DataError, NotFittedError, SettingsError
from clflow.export.graphs import FlowGraph, GaussianGraph, active_alignment
from clflow.export.parity import Parity, compare
from clflow.export.registration import registration_arrays
from clflow.files import atomic_folder, write_json
from clflow.runtime.description import (
    ARRAYS,
    DESCRIPTION,
    ENGINES,
    Description,
    EngineName,
    size_name,
)
from clflow.runtime.engine import Engine
from clflow.version import package_version

OPSET = 20
PARITY = "parity.json"
_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
_NEEDED = {"onnx": ("onnx", "onnxscript"), "openvino": ("onnx", "onnxscript", "openvino")}
# traced with a number of images that is no other dimension of a graph
_TRACED = 3

Exportable = FlowDetector | FydDetector


def export_detector(
    detector: Detector,
    folder: Path,
    engine: EngineName = "onnx",
    *,
    images: Sequence[NDArray[np.uint8]] = (),
    threshold: float | None = None,
    shapes: Sequence[tuple[int, int]] = (),
) -> Parity | None:
    """Write a fitted detector as graphs into a folder, whole or not.

    A graph takes pixels that were resized already: averaging over areas with rounding, as
    `resize_image` does it, is no operation of ONNX, and the same code gives the same pixels.

    Args:
        images: RGB, uint8 [H, W, 3], good ones and anomalies, that are scored both ways. What came
            of it is in parity.json; without images nothing is compared.
        threshold: what scores higher is anomalous; no decision may differ.
        shapes: heights and widths of images to be scored beside `images` and square ones. They
            matter to a detector that keeps the shape of images; each shape that it tells apart has
            its graph.

    Returns:
        How far the export is from the detector, None without images.

    Raises:
        NotFittedError: the detector was not fitted.
        SettingsError: its method or one of its settings cannot be exported, or packages of the
            extra `export` are not installed.
        DataError: the folder holds something else than an export, or the export does not score as
            the detector does.
        StorageError: the folder cannot be written.
    """
    check_exportable(detector, engine)
    assert isinstance(detector, Exportable)
    _check_free(folder)
    with atomic_folder(folder) as partial:
        _write_all(detector, partial, engine, [*shapes, *(image.shape[:2] for image in images)])
        if not images:
            return None
        parity = compare(detector, Engine(partial), images, threshold)
        if not parity.passed:
            raise DataError(
                f"the export does not score as the detector: {'; '.join(parity.failures())}; "
                "nothing was written: try the other format, or report it"
            )
        write_json(partial / PARITY, parity.as_dict())
    return parity


def _check_free(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / DESCRIPTION).is_file():
        raise DataError(f"{folder} holds other files than those of an export: give a new folder")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file: give a new folder to write the export to")


def _write_all(
    detector: Exportable, folder: Path, engine: EngineName, shapes: Sequence[tuple[int, ...]]
) -> None:
    registered = active_alignment(detector) is not None
    outputs = ["aligned_map"] if registered else ["score", "map"]
    graph, graphs = _graph(detector).eval(), {}
    for height, width in _sizes(detector, shapes, registered):
        name = size_name(height, width)
        graphs[name] = f"detector-{name}{_SUFFIXES[engine]}"
        pixels = torch.zeros(_TRACED, height, width, 3, dtype=torch.uint8)
        write_graph(graph, pixels, folder / graphs[name], outputs)
    if registered:
        np.savez(folder / ARRAYS, allow_pickle=False, **_arrays(detector))
    _description(detector, engine, graphs).write(folder)


def check_exportable(detector: Detector, engine: EngineName = "onnx") -> None:
    """Refuse a detector that cannot be exported.

    Raises:
        NotFittedError, SettingsError: see `export_detector`.
    """
    if engine not in ENGINES:
        raise SettingsError(f"format {engine!r} is unknown: allowed are {' and '.join(ENGINES)}")
    if missing := [name for name in _NEEDED[engine] if find_spec(name) is None]:
        raise SettingsError(
            f"an export needs {' and '.join(missing)}, which the extra `export` brings: run "
            f"`pip install {' '.join(missing)}`"
        )
    if not isinstance(detector, Exportable):
        method = getattr(detector, "method", type(detector).__name__)
        raise SettingsError(
            f"method {method!r} cannot be exported (yet): only flows (clflow, clflow_paper, "
            "fastflow) and Gaussians (padim, fyd) can; use `clflow predict` for it"
        )
    if detector.seed_ is None:
        raise NotFittedError("this detector is not fitted yet: fit it first, or load a saved one")
    _check_settings(detector)


def _check_settings(detector: Exportable) -> None:
    method = detector.method
    if isinstance(detector, FydDetector) and detector.network_ is not None:
        raise SettingsError(
            f"method {method!r} cannot be exported (yet) with a trained backbone: set "
            "fine_alignment.enabled to false and fit again"
        )
    alignment = active_alignment(detector)
    if alignment is None:
        return
    if alignment.settings.kind != "registration":
        raise SettingsError(
            f"method {method!r} cannot be exported (yet) with alignment {alignment.settings.kind!r}"
            ": set it to registration or none and fit again"
        )
    size, side = alignment.settings.registration.size, detector.settings.image_size
    if side % size:
        raise SettingsError(
            f"image_size {side} is no multiple of registration.size {size}, so that the "
            f"registration cannot be exported (yet): set either so that it is and fit again"
        )


def _graph(detector: Exportable) -> nn.Module:
    return FlowGraph(detector) if isinstance(detector, FlowDetector) else GaussianGraph(detector)


def _sizes(
    detector: Exportable, shapes: Sequence[tuple[int, ...]], registered: bool
) -> list[tuple[int, int]]:
    """Return the sizes that images of some shapes, and square ones, are resized to."""
    side = detector.settings.image_size
    if detector.store.stretched or registered:
        return [(side, side)]
    return sorted({(side, side), *(fitted_size(height, width, side) for height, width in shapes)})


def _arrays(detector: Exportable) -> dict[str, np.ndarray]:
    """Return what the runtime needs to turn images, and their maps back."""
    alignment = active_alignment(detector)
    assert alignment is not None
    (registration,) = alignment.steps
    assert isinstance(registration, Registration)
    arrays = registration_arrays(registration)
    if isinstance(detector, FydDetector) and detector.settings.score.smoothing > 0:
        side = detector.settings.image_size
        smoothing = drawing_operator(side, side, detector.settings.score.smoothing)
        arrays["smoothing"] = smoothing.numpy()
    return arrays


def _description(detector: Exportable, engine: EngineName, graphs: dict[str, str]) -> Description:
    alignment = active_alignment(detector)
    flow = isinstance(detector, FlowDetector)
    return Description(
        engine=engine,
        opset=OPSET,
        method=detector.method,
        seed=detector.seed_,
        clflow=package_version(),
        image_size=detector.settings.image_size,
        stretched=detector.store.stretched,
        registered=alignment is not None,
        padding="border" if alignment is None else alignment.settings.padding,
        top_fraction=detector.settings.score.top_fraction if flow else 0.0,  # type: ignore[union-attr]
        graphs=graphs,
    )


def write_graph(graph: nn.Module, pixels: Tensor, path: Path, outputs: Sequence[str]) -> None:
    """Write the graph of pixels [N, H, W, 3], of any number of images.

    Args:
        path: its suffix says for which engine.
        outputs: their names.
    """
    onnx_path = path.with_suffix(".onnx")
    with _quiet(), torch.no_grad():
        program: Any = torch.onnx.export(
            graph,
            (pixels,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("images")},),
            input_names=["pixels"],
            output_names=list(outputs),
            opset_version=OPSET,
            verbose=False,
        )
        program.save(onnx_path)
    if path != onnx_path:
        import openvino

        openvino.save_model(openvino.convert_model(onnx_path), path, compress_to_fp16=False)
        onnx_path.unlink()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporter says of itself from the user."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
