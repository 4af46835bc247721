"""Every detector of ours on a device that is not the CPU: nothing is mixed, the scores agree."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import SMALL as SMALL_FLOW
from flow_cases import seeded, training_data
from fyd_cases import SIZE, WHOLE, parts, parts_data
from fyd_cases import SMALL as SMALL_FYD
from other_device import NAME, other_device

from clflow.data.source import ArrayImages
from clflow.detectors.merge import merged
from clflow.detectors.protocol import TrainingData
from clflow.detectors.registry import find_method

# torch warns of a copy that the real device of this name would not make
pytestmark = pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")

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
    anomalies = training_data(12).negatives
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


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_the_cpu(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLFLOW_DEVICE", "cpu")
    expected = fitted(case).score(PARTS)
    monkeypatch.setenv("CLFLOW_DEVICE", NAME)
    with other_device():
        detector = fitted(case)
        scores = detector.score(PARTS)
        detector.save(tmp_path)
        loaded = type(detector).load(tmp_path).score(PARTS)
    assert detector.device == torch.device(NAME)
    np.testing.assert_array_equal(loaded.anomaly_maps, scores.anomaly_maps)
    np.testing.assert_allclose(scores.image_scores, expected.image_scores, rtol=1e-2)


def test_a_model_moves_from_device_to_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLFLOW_DEVICE", NAME)
    with other_device():
        detector = fitted("clflow")
        scores = detector.score(PARTS)
        detector.save(tmp_path)
    monkeypatch.setenv("CLFLOW_DEVICE", "cpu")
    loaded = type(detector).load(tmp_path).score(PARTS)
    np.testing.assert_allclose(loaded.image_scores, scores.image_scores, rtol=1e-4)


def test_the_other_device_refuses_to_mix() -> None:
    with other_device():
        here, there = torch.ones(3), torch.ones(3, device=NAME)
        assert (there + 1).device.type == NAME
        assert (there * torch.tensor(2.0)).sum().item() == 6
        assert there.cpu().tolist() == [1, 1, 1]
        with pytest.raises(RuntimeError, match="two devices"):
            here + there
        with pytest.raises(RuntimeError, match="generator"):
            torch.rand(3, generator=torch.Generator(), device=NAME)
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
