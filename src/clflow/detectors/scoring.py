"""From the evidence of each level to an anomaly map and an image score."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import conv1d, conv2d, interpolate, pad

from clflow.detectors.flow.density import Evidence
from clflow.detectors.flow.settings import ScoreSettings


def anomaly_maps(levels: Sequence[Evidence], size: int, settings: ScoreSettings) -> Tensor:
    """Return the mean over levels of the upsampled score, smoothed [N, size, size].

    FastFlow (2111.07677): each level's score is interpolated bilinearly to the input size, then
    averaged. Interpolation and smoothing act on rows and on columns apart, so two small matrices do
    both at once.
    """
    maps = [_drawn(_score(level, settings.kind), size, settings.smoothing) for level in levels]
    return torch.stack(maps).mean(0)


def _score(level: Evidence, kind: str) -> Tensor:
    if kind == "exp":
        return -torch.exp(-level.z2)
    return level.z2 if kind == "z2" else level.energy


def _drawn(score: Tensor, size: int, sigma: float) -> Tensor:
    rows, columns = (drawing_operator(cells, size, sigma).to(score) for cells in score.shape[1:])
    return rows @ score @ columns.T


@lru_cache(maxsize=16)
def drawing_operator(cells: int, size: int, sigma: float) -> Tensor:
    """Return the matrix [size, cells] that interpolates a row of cells linearly and smooths it."""
    rows = interpolate(torch.eye(cells)[:, None], size=size, mode="linear", align_corners=False)
    if sigma > 0:
        kernel = _kernel(sigma, size)
        rows = conv1d(pad(rows, (len(kernel) // 2,) * 2, mode="reflect"), kernel.view(1, 1, -1))
    return rows[:, 0].T.contiguous()


def gaussian_smoothing(maps: Tensor, sigma: float) -> Tensor:
    """Return maps [N, H, W] smoothed by a Gaussian cut at 4 sigma, reflected at the border."""
    if sigma == 0:
        return maps
    kernel = _kernel(sigma, min(maps.shape[1:])).to(maps)
    padded = pad(maps[:, None], (len(kernel) // 2,) * 4, mode="reflect")
    return conv2d(conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


def _kernel(sigma: float, side: int) -> Tensor:
    radius = min(int(4 * sigma + 0.5), side - 1)
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def image_scores(maps: Tensor, top_fraction: float) -> Tensor:
    """Return the mean of each map's highest pixels [N]; the maximum for a fraction of 0."""
    flat = maps.flatten(1)
    count = max(1, round(top_fraction * flat.shape[1]))
    return flat.topk(count, dim=1).values.mean(1)
