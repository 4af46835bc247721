"""Industrial visual anomaly detection: fit on good images, score new ones.

>>> import clflow
>>> sorted(clflow.__all__)
['Detector', 'Prediction', '__version__', 'fit', 'load', 'to_frame']

Nothing heavy is imported before it is needed: torch not before a detector is fitted or loaded.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clflow.decision.prediction import Prediction, to_frame
    from clflow.inspector.detector import Detector, fit, load

    __version__: str

__all__ = ["Detector", "Prediction", "__version__", "fit", "load", "to_frame"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: Any
    if name == "__version__":
        from clflow.version import package_version

        value = package_version()
    elif name in ("Prediction", "to_frame"):
        from clflow.decision import prediction

        value = getattr(prediction, name)
    else:
        from clflow.inspector import detector

        value = getattr(detector, name)
    # once found it is an attribute as any other
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
