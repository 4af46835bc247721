"""Losses of good and anomalous cells: classification, and contrast in several forms."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cosine_similarity,
    normalize,
    relu,
    softplus,
)

from clflow.detectors.flow.settings import ContrastSettings


def smoothed_cross_entropy(good: Tensor, anomalous: Tensor, smoothing: float) -> Tensor:
    """Return the mean of both classes' cross-entropies, smoothed by `smoothing` (tau).

    Args:
        good: logits of good cells, any shape.
        anomalous: logits of anomalous cells, any shape; without any only the good half counts.
    """
    low = torch.full_like(good, smoothing / 2)
    loss = 0.5 * binary_cross_entropy_with_logits(good, low)
    if anomalous.numel() == 0:
        return loss
    high = torch.full_like(anomalous, 1 - smoothing / 2)
    return loss + 0.5 * binary_cross_entropy_with_logits(anomalous, high)


def hinge(good: Tensor, anomalous: Tensor) -> Tensor:
    """Return the mean of both classes' hinge losses, zero beyond a margin of 1.

    Args:
        good: logits of good cells, any shape.
        anomalous: logits of anomalous cells, any shape; without any only the good half counts.
    """
    loss = 0.5 * relu(1 + good).mean()
    return loss if anomalous.numel() == 0 else loss + 0.5 * relu(1 - anomalous).mean()


def ranking(twins: Tensor, anomalous: Tensor, margin: float) -> Tensor:
    """Return the mean logistic loss of pairs: anomalous energies should exceed twins' by `margin`.

    Args:
        twins: energies of good cells [M].
        anomalous: energies of the same places in anomalies made from these images [M].
    """
    return softplus(margin - (anomalous - twins)).mean()


def projection_contrast(
    good: Tensor, anomalous: Tensor, images: Tensor, temperature: float
) -> Tensor:
    """Return the mean of -log of the share of a good pair beside a good cell's anomalous pairs.

    A good cell's pair is the cell of the same index in the previous image of the batch. Where that
    is the same image again, as at the border of two epochs, there is no pair; without any the loss
    is 0.

    Args:
        good: projected good cells [N, M, D], M of each image.
        anomalous: projected anomalous cells [K, D].
        images: which image each row of `good` is of [N].
    """
    good, anomalous = normalize(good, dim=2), normalize(anomalous, dim=1)
    paired = images != images.roll(1)
    cells = good[paired].flatten(0, 1)
    pull = (cells * good.roll(1, 0)[paired].flatten(0, 1)).sum(1) / temperature
    push = torch.logsumexp(cells @ anomalous.T / temperature, 1)
    return (torch.logaddexp(pull, push) - pull).sum() / max(1, len(cells))


def box_slices(box: tuple[float, ...], size: tuple[int, int]) -> tuple[slice, slice]:
    """Return the cells that a box, in fractions of the side, touches: at least one."""
    height, width = size
    x0, y0 = min(int(box[0] * width), width - 1), min(int(box[1] * height), height - 1)
    x1, y1 = max(math.ceil(box[2] * width), x0 + 1), max(math.ceil(box[3] * height), y0 + 1)
    return slice(y0, y1), slice(x0, x1)


def box_features(latent: Tensor, cells: Tensor, boxes: Iterable[tuple[float, ...]]) -> list[Tensor]:
    """Return each box's mean latent [C] over its anomalous cells, over all cells if none is.

    Args:
        latent: [C, H, W].
        cells: anomalous cells [H, W].
    """
    features = []
    for box in boxes:
        rows, columns = box_slices(box, (latent.shape[1], latent.shape[2]))
        inside = cells[rows, columns]
        inside = inside if inside.any() else torch.ones_like(inside)
        features.append(latent[:, rows, columns][:, inside].mean(1))
    return features


def cosine_contrast(
    latent: Tensor,
    good_boxes: list[Tensor],
    anomalous_boxes: list[Tensor],
    settings: ContrastSettings,
) -> Tensor:
    """Pull good images together and push anomalous boxes from their good twins.

    pull = mean cosine of the global features of two good images, push = mean cosine of a box and
    its twin; `margin`: (1 - pull) + max(0, push - margin); `info_nce`: -log softmax(pull, push) at
    the temperature.

    Args:
        latent: good images' latents [N, C, H, W], N at least 2.
        good_boxes: features [C] of the boxes in the good images.
        anomalous_boxes: features [C] of the same boxes in the anomalies.
    """
    directions = normalize(latent.mean((2, 3)), dim=1)
    count = len(directions)
    pull = (directions.sum(0).square().sum() - count) / (count * (count - 1))
    push = _push(good_boxes, anomalous_boxes, settings, pull)
    if settings.form == "margin":
        return (1 - pull) + (push - settings.margin).clamp_min(0)
    pull, push = pull / settings.temperature, push / settings.temperature
    return torch.logaddexp(pull, push) - pull


def _push(
    good_boxes: list[Tensor],
    anomalous_boxes: list[Tensor],
    settings: ContrastSettings,
    like: Tensor,
) -> Tensor:
    if not good_boxes:
        return torch.zeros_like(like)
    good = torch.stack(good_boxes)
    twin = good.detach() if settings.stop_gradient else good
    return cosine_similarity(twin, torch.stack(anomalous_boxes), dim=1).mean()
