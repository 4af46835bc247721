"""Batches of samples, made ahead of the training step by other processes."""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clflow.data.images import resize_image, resize_mask
from clflow.detectors.nsa.views import Views
from clflow.device import worker_count
from clflow.synthesis.labels import LabelKind, make_label, mean_change
from clflow.synthesis.registry import Member, get_generator
from clflow.synthesis.training_data import SyntheticAnomalies

Key = tuple[int, int]
Sample = tuple[Tensor, Tensor]

_ORDER, _SAMPLE = 1, 2


@dataclass(frozen=True, eq=False)
class FlySamples(Dataset[Sample]):
    """Good images uint8 [N, S, S, 3] that get a fresh anomaly whenever they are asked for.

    As in NSA, an image that has no place for one is shown as it is.
    """

    images: NDArray[np.uint8]
    views: Views
    member: Member
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> Sample:
        """Return image uint8 [H, W, 3] and label float32 [H, W] of (epoch, index)."""
        epoch, index = key
        rng = np.random.default_rng([_SAMPLE, self.seed, epoch, index])
        image = self._seen(index, rng)
        source = image
        if self.member.source == "other":
            other = int(rng.integers(len(self) - 1))
            source = self._seen(other + (other >= index), rng)
        generator = get_generator(self.member.generator)
        made = generator.generate(image, source, self.member.settings, rng)
        if made is None:
            return _sample(image, np.zeros(image.shape[:2], np.float32))
        return _sample(made.image, made.label)

    def _seen(self, index: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        return self.views.draw(rng).of(self.images[index])


@dataclass(frozen=True, eq=False)
class BankSamples(Dataset[Sample]):
    """Anomalies of a bank, one of each good image in an epoch; those without one are shown as is.

    of_good holds the anomalies made from each good image.
    """

    images: NDArray[np.uint8]
    anomalies: SyntheticAnomalies
    of_good: tuple[tuple[int, ...], ...]
    views: Views
    member: Member
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> Sample:
        """Return image uint8 [H, W, 3] and label float32 [H, W] of (epoch, index)."""
        epoch, index = key
        rng = np.random.default_rng([_SAMPLE, self.seed, epoch, index])
        own = self.of_good[index]
        image, label = self.images[index], np.zeros(self.images.shape[1:3], np.float32)
        if own:
            image, label = self._anomaly(own[int(rng.integers(len(own)))], image)
        view = self.views.draw(rng)
        return _sample(view.of(image), view.of(label))

    def _anomaly(
        self, index: int, good: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        size = good.shape[0]
        image = resize_image(self.anomalies.images[index], size, size)
        mask = resize_mask(self.anomalies.masks(index), size, size)
        settings = self.member.settings
        kind: LabelKind = settings.label
        change = mean_change(good, image, mask)
        return image, make_label(kind, change, mask, settings.logistic_k, settings.logistic_x0)


Samples = FlySamples | BankSamples


def anomalies_of(sources: tuple[int, ...], count: int) -> tuple[tuple[int, ...], ...]:
    """Return for each of `count` good images the anomalies made from it."""
    found: list[list[int]] = [[] for _ in range(count)]
    for index, source in enumerate(sources):
        found[source].append(index)
    return tuple(map(tuple, found))


def epoch_keys(seed: int, epoch: int, count: int, batch_size: int) -> list[list[Key]]:
    """Return the batches of an epoch: every image once, in an order of (seed, epoch)."""
    order = np.random.default_rng([_ORDER, seed, epoch]).permutation(count).tolist()
    keys = [(epoch, index) for index in order]
    return [keys[start : start + batch_size] for start in range(0, count, batch_size)]


def _sample(image: NDArray[np.uint8], label: NDArray[np.float32]) -> Sample:
    return torch.from_numpy(image), torch.from_numpy(label)


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
