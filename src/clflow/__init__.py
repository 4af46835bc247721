"""Industrial visual anomaly detection: fit on good images, score new ones.

>>> import clflow
>>> sorted(clflow.__all__)
['Detector', 'Prediction', '__version__', 'fit', 'load']

Nothing heavy is imported before it is needed: torch not before a detector is fitted or loaded.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clflow.inspector import Detector, Prediction, fit, load

    __version__: str

__all__ = ["Detector", "Prediction", "__version__", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: Any
    if name == "__version__":
        from clflow.version import package_version

        value = package_version()
    else:
        from clflow import inspector

        value = getattr(inspector, name)
    # once found it is an attribute as any other
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
