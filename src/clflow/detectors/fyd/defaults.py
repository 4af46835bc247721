"""Settings shared by FYD and PaDiM: PaDiM's own (arXiv 2011.08785), every alignment off."""

from typing import Any

PADIM: dict[str, Any] = {
    "backbone": {"name": "efficientnet_lite0", "weights": "bundled"},
    "image_size": 256,
    "image_alignment": {
        "kind": "none",
        "decide": True,
        "minimum_gain": 0.1,
        "padding": "reflection",
        "registration": {"size": 128, "turns": 72, "reach": 0.15, "rounds": 3, "seeds": 16},
        "learned": {
            "transformer": {"angle": 30.0, "shift": 0.1, "scale": 1.1, "axes": "one"},
            "size": 128,
            "epochs": 10,
            "batch_size": 16,
            "learning_rate": 1.0e-3,
            "pull": 0.01,
        },
    },
    "feature_alignment": {
        "enabled": False,
        "transformer": {"angle": 15.0, "shift": 0.0, "scale": 1.1, "axes": "each"},
    },
    "fine_alignment": {
        "enabled": False,
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
        "shrinkage": 0.0,
        "epsilon": 0.01,
    },
    "score": {"smoothing": 4.0},
}
