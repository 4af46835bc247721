"""Folds of images: each is looked at by what was fitted on the others."""

from collections.abc import Iterator

import torch
from torch import Tensor

from clflow.errors import DataError


def draw_folds(count: int, folds: int, generator: torch.Generator) -> Tensor:
    """Return a fold for each of `count` images, as even as possible [N]."""
    return torch.randperm(count, generator=generator) % folds


def split(count: int, folds: int, seed: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each fold the rows of the other folds and its own, all of `count` images once.

    Raises:
        DataError: there are fewer images than folds, or fewer folds than two.
    """
    if not 2 <= folds <= count:
        raise DataError(
            f"{count} images cannot make {folds} folds: take 2 to as many folds as images"
        )
    fold_of = draw_folds(count, folds, torch.Generator().manual_seed(seed or 0))
    for fold in range(folds):
        yield torch.nonzero(fold_of != fold).flatten(), torch.nonzero(fold_of == fold).flatten()
