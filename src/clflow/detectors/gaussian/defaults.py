"""Settings of PaDiM (arXiv 2011.08785), every alignment off, and of FYD, which ablations share."""

from typing import Any

from clflow.alignment.settings import NO_ALIGNMENT
from clflow.detectors.registry import merged

PADIM: dict[str, Any] = {
    "backbone": {"name": "efficientnet_lite0", "weights": "bundled"},
    "image_size": 256,
    "image_alignment": NO_ALIGNMENT,
    "feature_alignment": {
        "enabled": False,
        "transformer": {"angle": 15.0, "shift": 0.0, "scale": 1.1, "axes": "each"},
    },
    "fine_alignment": {
        "enabled": False,
        "decide": True,
        "steps": 200,
        "batch_size": 16,
        "learning_rate": 1.0e-4,
        "backbone_rate": 0.1,
        "weight_decay": 1.0e-5,
        "stop_gradient": True,
        "floor": 0.1,
        "log_every": 10,
        "checkpoint_every": 50,
    },
    "density": {
        "channels": 100,
        "grid": None,
        "standardise": False,
        "prior": 0.0,
        "epsilon": 0.01,
    },
    "score": {"smoothing": 4.0},
}

FYD = merged(
    PADIM,
    {
        "image_alignment": {"kind": "registration"},
        "density": {"channels": None, "grid": 32, "standardise": True, "prior": 0.25},
    },
)
