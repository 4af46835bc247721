"""From the evidence of each level to an anomaly map and an image score."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from clflow.detectors.flow.density import Evidence
from clflow.detectors.flow.settings import ScoreSettings


def anomaly_maps(levels: Sequence[Evidence], size: int, settings: ScoreSettings) -> Tensor:
    """Return the mean over levels of the upsampled score, smoothed [N, size, size].

    FastFlow (2111.07677): each level's score is interpolated bilinearly to the input size, then
    averaged.
    """
    maps = [_upsample(_score(level, settings.kind), size) for level in levels]
    return gaussian_smoothing(torch.stack(maps).mean(0), settings.smoothing)


def _score(level: Evidence, kind: str) -> Tensor:
    if kind == "exp":
        return -torch.exp(-level.z2)
    return level.z2 if kind == "z2" else level.energy


def _upsample(score: Tensor, size: int) -> Tensor:
    return interpolate(score[:, None], size=(size, size), mode="bilinear", align_corners=False)[
        :, 0
    ]


def gaussian_smoothing(maps: Tensor, sigma: float) -> Tensor:
    """Return maps [N, H, W] smoothed by a Gaussian cut at 4 sigma, reflected at the border."""
    if sigma == 0:
        return maps
    radius = min(int(4 * sigma + 0.5), maps.shape[1] - 1, maps.shape[2] - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = pad(maps[:, None], (radius,) * 4, mode="reflect")
    return conv2d(conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


def image_scores(maps: Tensor, top_fraction: float) -> Tensor:
    """Return the mean of each map's highest pixels [N]; the maximum for a fraction of 0."""
    flat = maps.flatten(1)
    count = max(1, round(top_fraction * flat.shape[1]))
    return flat.topk(count, dim=1).values.mean(1)
