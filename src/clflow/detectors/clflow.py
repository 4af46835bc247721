"""CL-Flow, ours: one pointwise flow on fused, whitened features, trained with synthetic negatives.

Differs from the paper's reconstruction (`clflow_paper`) in what was measured to matter: levels
fused on one grid, a shrunk covariance per location, cross-fitted; the log-determinant kept per
location; the cross-entropy acts on the very likelihood that is scored. The contrastive term is off
by default.
"""

from clflow.detectors.flow.settings import FlowSettings

Settings = FlowSettings
DETECTOR = "clflow.detectors.flow.detector:FlowDetector"
DEFAULTS = {
    "backbone": {"name": "efficientnet_lite0", "weights": "bundled"},
    "image_size": 256,
    "grid": 32,
    "normalization": {
        "mean": "location",
        "covariance": "location",
        "shrinkage": 0.5,
        "epsilon": 0.01,
        "folds": 5,
    },
    "flow": {
        "steps": 6,
        "kernels": [1],
        "hidden_ratio": 1.0,
        "clamp": 2.0,
        "clamping": "soft",
        "subnet_scale": 1.0,
        "global_affine": "exp",
        "identity_start": True,
    },
    "cells": {"area": 0.25, "share": 0.7},
    "classification": {"weight": 1.0, "quantity": "energy", "smoothing": 0.1, "gain": 4.0},
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
        "schedule": "one_cycle",
        "warmup": 0.15,
        "gradient_clip": 1.0,
        "locations": 192,
        "ramp": 0.1,
        "log_every": 10,
        "checkpoint_every": 50,
        "divergence_factor": 100.0,
    },
    "score": {"kind": "log_likelihood", "smoothing": 4.0, "top_fraction": 0.0},
}
