"""Every detector of ours, small, with anomalies of parts in any pose, for tests of devices."""

from dataclasses import replace
from typing import Any

import numpy as np
from flow_cases import SMALL as SMALL_FLOW
from flow_cases import seeded, training_data
from fyd_cases import SIZE, WHOLE, parts, parts_data
from fyd_cases import SMALL as SMALL_FYD

from clflow.data.images import ArrayImages
from clflow.detectors.registry import find_method, merged
from clflow.synthesis.training_data import TrainingData

PARTS = ArrayImages(parts(3, 20) + parts(3, 21, spot=True))
SMALL: dict[str, Any] = merged(SMALL_FLOW, {"training": {"steps": 2}})
FLOW: dict[str, Any] = merged(SMALL, {"grid": 8, "normalization": {"folds": 2}})
REGISTERED: dict[str, Any] = {"alignment": {"registration": {"size": SIZE, "rounds": 2}}}
FYD: dict[str, Any] = merged(SMALL_FYD, {"fine_alignment": {"steps": 2}})
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "fastflow": ("fastflow", SMALL),
    "clflow_paper": ("clflow_paper", SMALL),
    "clflow": ("clflow", merged(FLOW, REGISTERED)),
    **{
        name: (f"ablation.clflow_{name}", FLOW)
        for name in (
            "no_folds",
            "flow_none",
            "flow_additive",
            "loss_none",
            "loss_cross_entropy",
            "score_exp",
            "whitening_none",
            "whitening_full",
            "whitening_blocks",
            "ranking",
            "projection",
            "contrast_margin",
            "contrast_info_nce",
        )
    },
    "unfused": ("ablation.clflow_unfused", SMALL),
    "padim": ("padim", FYD),
    "fyd": ("fyd", merged(FYD, {"density": {"grid": 8}})),
    "whole fyd": ("fyd", merged(FYD, merged(WHOLE, {"density": {"grid": 8}}))),
}


def part_data() -> TrainingData:
    """Return good parts and anomalies of them."""
    good = parts_data(12).good
    anomalies = training_data(12).anomalies
    assert anomalies is not None
    masks = [anomalies.masks(index)[..., None] for index in range(12)]
    spotted = [np.where(mask, 250, good[i]).astype(np.uint8) for i, mask in enumerate(masks)]
    return TrainingData(good, replace(anomalies, images=ArrayImages(spotted)))


def fitted(case: str) -> Any:
    """Return a detector fitted on the device that the environment names."""
    method, settings = CASES[case]
    found = find_method(method)
    chosen = found.settings_model.model_validate(found.complete(settings))
    return found.detector_class()(chosen).fit(part_data(), seeded())
