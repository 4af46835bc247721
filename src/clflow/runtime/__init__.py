"""Exported detectors without PyTorch: numpy, OpenCV, and ONNX Runtime or OpenVINO.

>>> import clflow.runtime
>>> sorted(clflow.runtime.__all__)
['Detector', 'Engine', 'load']

Nothing heavy is imported before it is needed.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clflow.runtime.detector import Detector, load
    from clflow.runtime.engine import Engine

__all__ = ["Detector", "Engine", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Engine":
        from clflow.runtime import engine

        value: Any = engine.Engine
    else:
        from clflow.runtime import detector

        value = getattr(detector, name)
    globals()[name] = value
    return value
