"""Exported detectors without PyTorch: numpy, OpenCV, and ONNX Runtime or OpenVINO.

Nothing heavy is imported before it is needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clflow.runtime.engine import Engine

__all__ = ["Engine"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from clflow.runtime import engine

    globals()[name] = value = getattr(engine, name)
    return value
