"""Settings of the alignment of images as all methods begin with them: off."""

from typing import Any

NO_ALIGNMENT: dict[str, Any] = {
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
}
