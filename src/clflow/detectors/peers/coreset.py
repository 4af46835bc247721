"""PatchCore's greedy coreset with one matrix-vector product a step instead of a norm per row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from anomalib.models.components.sampling.k_center_greedy import KCenterGreedy
from torch import Tensor


@contextmanager
def quick_coreset() -> Iterator[None]:
    """Within the block anomalib's k-center greedy picks the same points with a tenth of the work.

    The farthest point is the same for squared distances, and |x - c|^2 is expanded; features are
    centred first, against cancellation. Only exact ties up to rounding can fall otherwise.
    """
    slow = KCenterGreedy.update_distances
    KCenterGreedy.update_distances = _update
    try:
        yield
    finally:
        KCenterGreedy.update_distances = slow


def _update(sampler: Any, cluster_center: Tensor) -> None:
    if sampler.min_distances is None:
        sampler.features = sampler.features - sampler.features.mean(dim=0)
        sampler.squares = sampler.features.square().sum(dim=1)
    center = sampler.features[cluster_center]
    distances = torch.addmv(sampler.squares, sampler.features, center, alpha=-2)
    distances = (distances + center.square().sum()).unsqueeze(1)
    seen = sampler.min_distances
    sampler.min_distances = distances if seen is None else torch.minimum(seen, distances)
