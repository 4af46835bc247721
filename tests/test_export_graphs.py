"""Graphs compute what the detectors do, before any engine reads them."""

from typing import Any

import numpy as np
import pytest
import torch
from export_cases import flow_detector, gaussian_detector, scored_images
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clflow.data.images import ArrayImages
from clflow.export.graphs import FlowGraph, GaussianGraph
from clflow.export.levels import rounded_to_half

FLOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "clflow": ("clflow", {}),
    "clflow_paper": ("clflow_paper", {}),
    "fastflow": ("fastflow", {}),
    "one factor": ("clflow", {"normalization": {"covariance": "global", "rank": None}}),
    "blocks": ("clflow", {"normalization": {"rank": None, "block": 3}}),
    "no clamping": ("clflow", {"flow": {"clamping": "none", "global_affine": "softplus"}}),
    "bilinear": ("clflow", {"upsampling": "bilinear", "score": {"kind": "z2"}}),
    "no flow": ("clflow", {"flow": {"steps": 0}}),
}


def close(found: torch.Tensor, expected: np.ndarray) -> bool:
    spread = np.ptp(expected)
    return bool(np.abs(found.numpy() - expected).max() < 1e-4 * spread)


@pytest.mark.parametrize("case", FLOWS)
def test_a_flow_s_graph_scores_as_the_detector(case: str) -> None:
    method, changes = FLOWS[case]
    detector = flow_detector(method, **changes)
    images = scored_images(registered=False)
    expected = detector.score(ArrayImages(images))
    with torch.no_grad():
        scores, maps = FlowGraph(detector)(torch.from_numpy(np.stack(images)))
    assert close(scores, expected.image_scores)
    assert close(maps, expected.anomaly_maps)


@pytest.mark.parametrize("method", ["padim", "fyd"])
def test_a_gaussian_s_graph_scores_as_the_detector(method: str) -> None:
    detector = gaussian_detector(method)
    images = scored_images(registered=False)
    expected = detector.score(ArrayImages(images))
    with torch.no_grad():
        scores, maps = GaussianGraph(detector)(torch.from_numpy(np.stack(images)))
    assert close(scores, expected.image_scores)
    assert close(maps, expected.anomaly_maps)


def test_a_graph_leaves_the_detector_as_it_was() -> None:
    detector, images = flow_detector(), ArrayImages(scored_images(registered=False))
    before = detector.score(images)
    FlowGraph(detector)
    after = detector.score(images)
    assert np.array_equal(before.image_scores, after.image_scores)
    assert np.array_equal(before.anomaly_maps, after.anomaly_maps)


@given(arrays(np.float32, 20, elements=st.floats(-60000, 60000, width=32)))
def test_values_are_rounded_as_by_half_precision(values: np.ndarray) -> None:
    found = rounded_to_half(torch.from_numpy(values)).numpy()
    # below 2^-14 half precision has fewer bits left, and steps of 2^-24
    assert np.allclose(found, values.astype(np.float16).astype(np.float32), rtol=0, atol=2**-24)
