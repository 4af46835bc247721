"""Training the network: what it is trained on, in whole epochs, and the schedule."""

import math
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from clflow.data.images import ImageSource, resize_image
from clflow.detectors.nsa.network import label_loss, mixed, uses_bfloat16
from clflow.detectors.nsa.plan import Plan, make_plan
from clflow.detectors.nsa.samples import (
    BankSamples,
    Batch,
    FlySamples,
    Samples,
    anomalies_of,
    batches,
    epoch_keys,
    sample_workers,
)
from clflow.detectors.nsa.settings import NSADetectorSettings, TrainingSettings
from clflow.detectors.nsa.views import Views, training_views
from clflow.detectors.protocol import NO_WORKSPACE, Workspace
from clflow.errors import DataError
from clflow.progress import track
from clflow.synthesis.training_data import TrainingData
from clflow.training.checkpoint import History
from clflow.training.loop import Course, Row, Step, Terms, run_loop

_READERS = 2


def load_pixels(images: ImageSource, side: int, label: str) -> NDArray[np.uint8]:
    """Return all images squeezed to squares, uint8 [N, side, side, 3]."""
    pixels = np.empty((len(images), side, side, 3), np.uint8)
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda index: resize_image(images[index], side, side), range(len(images)))
        for index, image in enumerate(track(read, label, len(images))):
            pixels[index] = image
    return pixels


def prepare(data: TrainingData, settings: NSADetectorSettings, seed: int) -> tuple[Plan, Samples]:
    """Read the good images once, decide on the category, and return what it is trained on.

    Raises:
        DataError: there are no good images, or no anomalies or other images where the source of
            anomalies needs them.
    """
    if not len(data.good):
        raise DataError("there are no good images to train on: run the prepare stage again")
    pixels = load_pixels(data.good, settings.image_size, "good images")
    plan = make_plan(data.category, pixels, settings)
    views = training_views(plan.kind, plan.rotation, settings)
    if settings.anomalies.source == "bank":
        return plan, _of_bank(data, pixels, views, plan, seed)
    if plan.member.source == "other" and len(pixels) < 2:
        raise DataError("an anomaly needs another good image to take a patch from: add images")
    if views.loaded != settings.image_size:
        pixels = load_pixels(data.good, views.loaded, "good images, enlarged")
    return plan, FlySamples(pixels, views, plan.member, seed)


def _of_bank(
    data: TrainingData, pixels: NDArray[np.uint8], views: Views, plan: Plan, seed: int
) -> BankSamples:
    anomalies = data.anomalies
    if anomalies is None or not len(anomalies.images):
        raise DataError(
            "anomalies.source is bank and there is none: run the synthesize stage, or set it to fly"
        )
    of_good = anomalies_of(anomalies.sources, len(pixels))
    return BankSamples(pixels, anomalies, of_good, views, plan.member, seed)


@dataclass(frozen=True, eq=False)
class Task:
    """What a network is trained on, for how many epochs, and where."""

    samples: Samples
    epochs: int
    seed: int
    device: torch.device


def train(
    network: nn.Module,
    task: Task,
    settings: NSADetectorSettings,
    workspace: Workspace = NO_WORKSPACE,
) -> History:
    """Train the network in place and return the history, one row per epoch.

    A sample follows from (seed, epoch, index) and the order from (seed, epoch): a resumed run gives
    the weights of an unbroken one, whatever the number of workers.

    Raises:
        TrainingError: the loss is not finite or diverged.
    """
    training = settings.training
    steps = Steps(network, task, settings, workspace.processes)
    # the rate is the scheduler's alone: times one, it keeps every digit
    optimizer = torch.optim.Adam(network.parameters(), lr=1.0)

    def rate(step: int) -> float:
        return learning_rate(step // steps.per_epoch, task.epochs, training)

    course = Course(
        steps=task.epochs * steps.per_epoch,
        label="training",
        checkpoint_every=training.checkpoint_every * steps.per_epoch,
        checkpoint=workspace.checkpoint,
        scheduler=LambdaLR(optimizer, rate),
        divergence_factor=training.divergence_factor,
        remedy="lower training.learning_rate, or set precision to float32",
        row=steps.row,
    )
    with closing(steps):
        return run_loop(network, optimizer, steps.loss, course)


class Steps:
    """What each step of a training sees, made ahead, and the means of each epoch."""

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        settings: NSADetectorSettings,
        processes: int | None = None,
    ) -> None:
        self.network = network
        self.task = task
        self.label = settings.label
        self.batch_size = settings.training.batch_size
        self.bfloat16 = uses_bfloat16(settings.precision, task.device)
        self.workers = sample_workers() if processes is None else processes
        self.per_epoch = math.ceil(len(task.samples) / self.batch_size)
        self._made: Generator[Batch, None, None] | None = None
        self._losses: list[float] = []
        self._sizes: list[int] = []

    def loss(self, step: int) -> tuple[Tensor, Terms]:
        """Return the loss of a step; the first that is asked for must begin an epoch."""
        if self._made is None:
            self._made = self._batches_from(step // self.per_epoch)
        images, labels = next(self._made)
        with mixed(self.task.device, bfloat16=self.bfloat16):
            output = self.network(images)
        self._sizes.append(len(images))
        return label_loss(output, labels, self.label), {}

    def row(self, step: Step) -> Row | None:
        """Return the row of the epoch that a step ends, None within one."""
        self._losses.append(step.loss)
        if (step.index + 1) % self.per_epoch:
            return None
        pairs = zip(self._losses, self._sizes, strict=True)
        mean = sum(loss * size for loss, size in pairs) / sum(self._sizes)
        self._losses.clear()
        self._sizes.clear()
        epoch = (step.index + 1) // self.per_epoch
        return {
            "step": step.index,
            "epoch": epoch,
            "loss": mean,
            "learning_rate": step.learning_rate,
        }

    def close(self) -> None:
        """End the processes that make samples."""
        if self._made is not None:
            self._made.close()

    def _batches_from(self, first: int) -> Generator[Batch, None, None]:
        keys = [
            batch
            for epoch in range(first, self.task.epochs)
            for batch in epoch_keys(self.task.seed, epoch, len(self.task.samples), self.batch_size)
        ]
        return batches(self.task.samples, keys, self.workers, self.task.device)


def learning_rate(epoch: int, epochs: int, settings: TrainingSettings) -> float:
    """Return the rate of an epoch: half a cosine from the first to just before the final rate."""
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * epoch / epochs)) / 2
