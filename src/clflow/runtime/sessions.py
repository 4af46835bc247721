"""One way to run a graph, whichever engine reads it."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clflow.errors import DataError, SettingsError
from clflow.runtime.description import EngineName

# uint8 pixels [N, H, W, 3] to the outputs of the graph, in their order
Session = Callable[[NDArray[np.uint8]], Sequence[NDArray[np.float32]]]

_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


def open_session(path: Path, engine: EngineName, threads: int | None = None) -> Session:
    """Return what runs a graph.

    Args:
        threads: how many the engine may use, None for its own choice.

    Raises:
        SettingsError: the engine is not installed.
        DataError: the graph cannot be read.
    """
    package = _PACKAGES[engine]
    if find_spec(package) is None:
        raise SettingsError(
            f"{path} needs the package {package}, which is not installed: run "
            f"`pip install {package}`, or export for the other engine"
        )
    opened = _onnx if engine == "onnx" else _openvino
    try:
        return opened(path, threads)
    # the errors of ONNX Runtime have no base but this one
    except Exception as error:
        reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else repr(error)
        raise DataError(
            f"the graph {path} cannot be read ({reason}): it is damaged, or {package} is too old; "
            "export the detector again, or update the package"
        ) from error


def _onnx(path: Path, threads: int | None) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # errors are raised; what else it would print is about the graph, which is not the user's
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(pixels: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        found: Sequence[NDArray[np.float32]] = session.run(None, {"pixels": pixels})
        return found

    return run


def _openvino(path: Path, threads: int | None) -> Session:
    import openvino

    # by itself it takes bfloat16 where the CPU has it, and scores would not be the detector's
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads is not None:
        options["INFERENCE_NUM_THREADS"] = threads
    model = openvino.Core().compile_model(path, "CPU", options)

    def run(pixels: NDArray[np.uint8]) -> Sequence[NDArray[np.float32]]:
        # the engine keeps its outputs and writes over them with the next images
        found = model([pixels])
        return [np.array(found[index]) for index in range(len(model.outputs))]

    return run
