"""Rigid poses refined to sub-pixels by the inverse compositional Lucas-Kanade method.

Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004: the template's gradients are taken once,
a step is a warp and a small matrix product. A pose [N, 3] is a turn in radians and where the
template's centre is in the image, in half sides, x first.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample

from clflow.detectors.alignment.correlation import disc
from clflow.detectors.alignment.warp import similarity

# poses do not move where the template changes less than this share of its strongest change
_LEAST_CHANGE = 1e-3


class Refinement(nn.Module):
    """Brings poses of images closer to a template.

    Args:
        template: windowed [S, S].
    """

    def __init__(self, template: Tensor) -> None:
        super().__init__()
        self.size = len(template)
        window, flat = disc(self.size).to(template).flatten(), template.flatten()
        solve = torch.linalg.pinv(_descent(template).T * window[:, None], rtol=_LEAST_CHANGE)
        self.places: Tensor
        self.moments: Tensor
        self.totals: Tensor
        self.offsets: Tensor
        self.register_buffer("places", _places(template), persistent=False)
        # of an image z seen through a pose: solve (z w), z w t, z w, z w^2
        rows = [*(solve * window), flat * window, window, window.square()]
        self.register_buffer("moments", torch.stack(rows, 1), persistent=False)
        self.register_buffer("totals", self.moments.sum(0), persistent=False)
        self.register_buffer("offsets", solve @ flat, persistent=False)

    def forward(self, images: Tensor, poses: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Bring poses [N, 3] of grey images [N, S, S] closer by at least one step.

        Returns:
            The poses [N, 3], and the correlation with the template [N] before the last step.
        """
        for _ in range(steps):
            compared = self._compared(images, poses)
            poses = _without(poses, compared[:, :3] - self.offsets)
        return poses, compared[:, 3]

    def _compared(self, images: Tensor, poses: Tensor) -> Tensor:
        """Return sums of the images seen through poses, windowed and of unit norm [N, 4]."""
        grid = (_maps(poses) @ self.places).transpose(1, 2).unflatten(1, (self.size, self.size))
        seen = grid_sample(images[:, None], grid, padding_mode="zeros", align_corners=False)
        sums, power = seen.flatten(1) @ self.moments, seen.flatten(1).square() @ self.moments[:, 5]
        mean = sums[:, 4:5] / self.totals[4]
        norm = power[:, None] - 2 * mean * sums[:, 5:6] + mean.square() * self.totals[5]
        return (sums[:, :4] - mean * self.totals[:4]) / norm.clamp(min=1e-12).sqrt()


def _places(template: Tensor) -> Tensor:
    """Return x, y and 1 of each pixel's centre [3, S * S], in half sides."""
    size = len(template)
    axis = ((torch.arange(size, device=template.device) + 0.5) * 2 / size - 1).to(template)
    x, y = axis.repeat(size), axis.repeat_interleave(size)
    return torch.stack([x, y, torch.ones_like(x)])


def _descent(template: Tensor) -> Tensor:
    """Return how a template changes with turn and shift [3, S * S]."""
    down, across = torch.gradient(template, spacing=2 / len(template))
    x, y, _ = _places(template)
    across, down = across.flatten(), down.flatten()
    return torch.stack([x * down - y * across, across, down])


def _maps(poses: Tensor) -> Tensor:
    return similarity(poses[:, 0], torch.ones_like(poses[:, 0]), poses[:, 1:])


def _without(poses: Tensor, change: Tensor) -> Tensor:
    """Return poses after the inverse of a change of the template's frame."""
    angle = poses[:, 0] - change[:, 0]
    cosine, sine = angle.cos(), angle.sin()
    x, y = change[:, 1], change[:, 2]
    moved = torch.stack([cosine * x - sine * y, sine * x + cosine * y], 1)
    return torch.cat([angle[:, None], poses[:, 1:] - moved], 1)
