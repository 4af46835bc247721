"""Every detector of ours on a device that is not the CPU: nothing is mixed, the scores agree."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detector_cases import CASES, PARTS, fitted
from other_device import NAME, OtherDevice

# torch warns of a copy that the real device of this name would not make
pytestmark = pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_of_the_cpu(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLFLOW_DEVICE", "cpu")
    expected = fitted(case).score(PARTS)
    monkeypatch.setenv("CLFLOW_DEVICE", NAME)
    with OtherDevice():
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
    with OtherDevice():
        detector = fitted("clflow")
        scores = detector.score(PARTS)
        detector.save(tmp_path)
    monkeypatch.setenv("CLFLOW_DEVICE", "cpu")
    loaded = type(detector).load(tmp_path).score(PARTS)
    np.testing.assert_allclose(loaded.image_scores, scores.image_scores, rtol=1e-4)


def test_the_other_device_refuses_to_mix() -> None:
    with OtherDevice():
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
