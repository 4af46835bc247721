"""Import torchvision on CPU builds of torch that its compiled operators were not built for.

The wheel of torchvision on the Python package index links CUDA libraries, so beside a CPU torch its
operators are never registered and `import torchvision` fails (pytorch/vision#9077). Declaring two
schemas is enough for the Python part, all that timm needs; where torchvision imports by itself
nothing is done.
"""

import importlib
import sys
from typing import Any

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# the definitions vanish when the library object is collected
_kept_alive: list[Any] = []


def ensure_torchvision() -> None:
    """Make `import torchvision` work; call once before the first `import timm`."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _forget_half_imported()
        _declare_operators()
        importlib.import_module("torchvision")


def _forget_half_imported() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]


def _declare_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        try:
            library.define(schema)
        except RuntimeError as error:
            if "already" not in str(error) and "multiple times" not in str(error):
                raise
    _kept_alive.append(library)
