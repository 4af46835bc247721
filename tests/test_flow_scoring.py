"""Anomaly maps and image scores."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from clflow.detectors.flow.density import Evidence
from clflow.detectors.flow.settings import ScoreSettings
from clflow.detectors.scoring import anomaly_maps, gaussian_smoothing, image_scores


def score(kind: str, smoothing: float = 0.0) -> ScoreSettings:
    return ScoreSettings.model_validate({"kind": kind, "smoothing": smoothing, "top_fraction": 0})


def evidence(side: int, seed: int = 0) -> Evidence:
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(2, 3, side, side, generator=generator)
    z2 = 0.5 * latent.square().mean(1)
    return Evidence(latent, z2 - torch.randn(z2.shape, generator=generator), z2)


def test_published_score_is_the_mean_over_levels_of_minus_exp() -> None:
    """FastFlow (2111.07677): levels are interpolated to the input size, then averaged."""
    levels = [evidence(4), evidence(8, seed=1)]
    expected = np.mean(
        [
            [
                cv2.resize(one.numpy(), (16, 16), interpolation=cv2.INTER_LINEAR)
                for one in -torch.exp(-level.z2)
            ]
            for level in levels
        ],
        axis=0,
    )
    actual = anomaly_maps(levels, 16, score("exp"))
    np.testing.assert_allclose(actual.numpy(), expected, atol=1e-5)


def test_likelihood_score_is_the_energy() -> None:
    level = evidence(8)
    torch.testing.assert_close(anomaly_maps([level], 8, score("log_likelihood")), level.energy)
    torch.testing.assert_close(anomaly_maps([level], 8, score("z2")), level.z2)


def test_maps_are_interpolated_bilinearly_then_smoothed() -> None:
    level = evidence(8)
    maps = interpolate(level.z2[:, None], size=(64, 64), mode="bilinear", align_corners=False)
    expected = gaussian_smoothing(maps[:, 0], 4.0)
    torch.testing.assert_close(anomaly_maps([level], 64, score("z2", 4.0)), expected)


def test_smoothing_equals_opencv_and_keeps_constants() -> None:
    maps = torch.randn(1, 64, 48, generator=torch.Generator().manual_seed(0))
    expected = cv2.GaussianBlur(maps[0].numpy(), (33, 33), 4.0, borderType=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(gaussian_smoothing(maps, 4.0)[0].numpy(), expected, atol=1e-5)
    constant = torch.full((1, 40, 40), 3.0)
    torch.testing.assert_close(gaussian_smoothing(constant, 4.0), constant)


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.0, 9.0), (0.2, 8.5), (1.0, 4.5)], ids=["max", "top", "mean"]
)
def test_image_score_is_the_mean_of_the_highest_pixels(fraction: float, expected: float) -> None:
    maps = torch.arange(10.0).reshape(1, 2, 5)
    assert image_scores(maps, fraction).tolist() == [expected]


def test_scores_are_not_clamped() -> None:
    maps = torch.tensor([[[-1e6, 1e6]], [[-5.0, -4.0]]])
    assert image_scores(maps, 0.0).tolist() == [1e6, -4.0]
