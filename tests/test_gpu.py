"""On a GPU: a training repeats to the last bit, and its scores are those of the CPU."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from detector_cases import CASES, PARTS, fitted

from clflow.device import prepare_torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True)
def as_the_stages(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute as the stages do: on the GPU, without operations that differ from run to run."""
    monkeypatch.setenv("CLFLOW_DEVICE", "cuda")
    before = torch.get_deterministic_debug_mode()
    prepare_torch()
    yield
    torch.set_deterministic_debug_mode(before)


@pytest.mark.parametrize("case", CASES)
def test_a_training_repeats_and_its_model_scores_the_same_on_the_cpu(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, again = fitted(case), fitted(case)
    scores = detector.score(PARTS)
    np.testing.assert_array_equal(again.score(PARTS).anomaly_maps, scores.anomaly_maps)
    detector.save(tmp_path)
    monkeypatch.setenv("CLFLOW_DEVICE", "cpu")
    there = type(detector).load(tmp_path).score(PARTS)
    np.testing.assert_allclose(there.image_scores, scores.image_scores, rtol=1e-2)
