"""How far the images of a batch are from each other, pair by pair."""

import torch
from torch import Tensor


def pairwise_distance(images: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over pairs and pixels of the Euclidean distance of colours.

    FYD (arXiv 2110.04538), the loss of image-level coarse alignment, as a mean instead of a sum.

    Args:
        images: [N, C, H, W], at least two.
        weights: of the pixels [H, W], or None for equal ones.
    """
    count = len(images)
    totals = [
        _distances(images[index], images[index + 1 :], weights).sum() for index in range(count - 1)
    ]
    return torch.stack(totals).sum() / (count * (count - 1) / 2)


def _distances(image: Tensor, others: Tensor, weights: Tensor | None) -> Tensor:
    # the root has no gradient at zero
    distance = ((others - image).square().sum(1) + 1e-12).sqrt()
    if weights is None:
        return distance.mean((1, 2))
    return (distance * weights).sum((1, 2)) / weights.sum()
