"""Batches of samples, made ahead of the training step by other processes."""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import cv2
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clflow.detectors.nsa.samples import Key, Sample
from clflow.stage import worker_count

Batch = tuple[Tensor, Tensor]

# more feed no GPU, and each holds the images of the category
_MOST_WORKERS = 16


def sample_workers() -> int:
    """Return how many processes make samples: CLFLOW_WORKERS, 0 for none, else one per core.

    Raises:
        SettingsError: CLFLOW_WORKERS is no number.
    """
    asked = os.environ.get("CLFLOW_WORKERS")
    if asked == "0":
        return 0
    return worker_count() if asked else min(worker_count(), _MOST_WORKERS)


def batches(
    samples: Dataset[Sample], keys: list[list[Key]], workers: int, device: torch.device
) -> Generator[Batch, None, None]:
    """Yield images uint8 [B, 3, H, W] and labels [B, H, W] on the device, batch by batch.

    What is in them does not depend on the number of workers.
    """
    loader = DataLoader(
        samples,
        batch_sampler=keys,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_stay_on_one_core,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),
    )
    loaded, limits = iter(loader), _limits(workers)
    for _ in keys:
        with limits():
            images, labels = next(loaded)
        images, labels = (part.to(device, non_blocking=True) for part in (images, labels))
        yield images.permute(0, 3, 1, 2), labels


def _limits(workers: int) -> "partial[AbstractContextManager[object]]":
    """Return what keeps BLAS on one thread, which more would slow, where samples are made here."""
    return partial(nullcontext) if workers else partial(threadpool_limits, 1, "blas")


def _stay_on_one_core(_: int) -> None:
    cv2.setNumThreads(1)
    threadpool_limits(1)
