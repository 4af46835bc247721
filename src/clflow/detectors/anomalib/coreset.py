"""PatchCore's greedy coreset, quick and with the project's progress lines."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from anomalib.models.components.sampling import k_center_greedy
from torch import Tensor

from clflow.progress import track


@contextmanager
def coreset_selection(quick: bool) -> Iterator[None]:
    """Within the block anomalib's k-center greedy reports progress as all long work here does.

    If `quick`, a step is one matrix-vector product instead of a norm per row. It picks the same
    points: the farthest one is the same for squared distances, and |x - c|^2 is expanded, features
    centred first against cancellation. Only ties up to rounding can fall otherwise.
    """
    greedy = k_center_greedy.KCenterGreedy
    bar, update = k_center_greedy.tqdm, greedy.update_distances
    k_center_greedy.tqdm = _tracked
    if quick:
        greedy.update_distances = _update
    try:
        yield
    finally:
        k_center_greedy.tqdm, greedy.update_distances = bar, update


def _tracked(steps: range, desc: str) -> Iterable[int]:
    return track(steps, "coreset", len(steps))


def _update(sampler: Any, cluster_center: Tensor) -> None:
    if sampler.min_distances is None:
        sampler.features = sampler.features - sampler.features.mean(dim=0)
        sampler.squares = sampler.features.square().sum(dim=1)
    center = sampler.features[cluster_center]
    distances = torch.addmv(sampler.squares, sampler.features, center, alpha=-2)
    distances = (distances + center.square().sum()).unsqueeze(1)
    seen = sampler.min_distances
    sampler.min_distances = distances if seen is None else torch.minimum(seen, distances)
