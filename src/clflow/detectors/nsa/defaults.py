"""Settings shared by NSA and the methods its authors ran in the same framework."""

from typing import Any

PUBLISHED: dict[str, dict[str, Any] | int | str] = {
    "label": "logistic",
    "image_size": 256,
    "input": {"channels": "auto", "standardise": "auto"},
    "crop": {"object_window": 230, "object": 224, "texture_size": 264},
    "anomalies": {"source": "fly", "generator": "nsa", "nsa": {}},
    "training": {
        "epochs": "auto",
        "percent": 100,
        "rotation": "auto",
        "batch_size": 64,
        "learning_rate": 1.0e-3,
        "final_learning_rate": 1.0e-6,
        "checkpoint_every": 10,
        "divergence_factor": 100.0,
    },
    "precision": "auto",
}
