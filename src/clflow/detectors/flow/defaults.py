"""Settings of the flow methods: as the papers publish them, and ours, which its ablations share."""

from typing import Any

from clflow.alignment.settings import NO_ALIGNMENT
from clflow.detectors.registry import merged

PUBLISHED: dict[str, dict[str, Any] | int | str | None] = {
    "backbone": {"name": "efficientnet_lite0", "weights": "bundled"},
    "image_size": 256,
    "aspect": "stretch",
    "alignment": NO_ALIGNMENT,
    "grid": None,
    "upsampling": "nearest",
    "normalization": {
        "mean": "global",
        "covariance": "diagonal",
        "prior": 0.0,
        "epsilon": 1.0e-6,
        "block": 1,
        "rank": None,
        "folds": 0,
    },
    "flow": {
        "steps": 8,
        "kernels": [3, 1],
        "hidden_ratio": 1.0,
        "clamp": 2.0,
        "clamping": "hard",
        "subnet_scale": 0.1,
        "global_affine": "softplus",
        "identity_start": False,
    },
    "cells": {"area": 0.25, "share": 0.7},
    "classification": {
        "weight": 0.0,
        "loss": "cross_entropy",
        "quantity": "z2",
        "smoothing": 0.1,
        "gain": 1.0,
    },
    "contrast": {
        "weight": 0.0,
        "form": "margin",
        "margin": 0.0,
        "temperature": 0.1,
        "stop_gradient": True,
    },
    "training": {
        "steps": 200,
        "batch_size": 16,
        "learning_rate": 1.0e-3,
        "weight_decay": 1.0e-5,
        "schedule": "constant",
        "warmup": 0.15,
        "gradient_clip": None,
        "locations": None,
        "ramp": 0.1,
        "log_every": 10,
        "checkpoint_every": 50,
        "divergence_factor": 100.0,
    },
    "score": {"kind": "exp", "smoothing": 4.0, "top_fraction": 0.0},
}

CLFLOW = merged(
    PUBLISHED,
    {
        "alignment": {"kind": "registration"},
        "grid": 32,
        "normalization": {
            "mean": "location",
            "covariance": "location",
            "prior": 0.25,
            "rank": 32,
            "epsilon": 0.01,
            "folds": 5,
        },
        "flow": {
            "steps": 6,
            "kernels": [1],
            "clamp": 1.0,
            "clamping": "soft",
            "subnet_scale": 1.0,
            "global_affine": "exp",
            "identity_start": True,
        },
        "classification": {"weight": 2.0, "loss": "hinge", "quantity": "energy", "gain": 4.0},
        "training": {
            "steps": 300,
            "learning_rate": 6.0e-3,
            "schedule": "one_cycle",
            "gradient_clip": 1.0,
            "locations": 128,
        },
        "score": {"kind": "log_likelihood", "top_fraction": 0.005},
    },
)
