"""The training loop: whole epochs, resumable, the last step is the model."""

import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clflow.data.images import ImageSource, resize_image
from clflow.detectors.nsa.network import label_loss, mixed, uses_bfloat16
from clflow.detectors.nsa.plan import Plan, make_plan
from clflow.detectors.nsa.samples import (
    BankSamples,
    Batch,
    FlySamples,
    Key,
    Samples,
    anomalies_of,
    batches,
    epoch_keys,
    sample_workers,
)
from clflow.detectors.nsa.settings import NSADetectorSettings, TrainingSettings
from clflow.detectors.nsa.views import Views, training_views
from clflow.detectors.protocol import NO_WORKSPACE, Workspace
from clflow.errors import DataError, TrainingError
from clflow.progress import track
from clflow.synthesis.training_data import TrainingData
from clflow.training.checkpoint import History, load_checkpoint, save_checkpoint

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
    loop, checkpoint = Loop(network, task, settings), workspace.checkpoint
    workers = sample_workers() if workspace.processes is None else workspace.processes
    if checkpoint is not None and checkpoint.is_file():
        loop.finished, loop.history = load_checkpoint(checkpoint, network, loop.optimizer)
    remaining = range(loop.finished, task.epochs)
    keys = [batch for epoch in remaining for batch in loop.keys(epoch)]
    per_epoch = math.ceil(len(task.samples) / settings.training.batch_size)
    with closing(batches(task.samples, keys, workers, task.device)) as made:
        for epoch in track(remaining, "training epochs", len(remaining)):
            loop.run(epoch, islice(made, per_epoch))
            done = epoch + 1
            due = done == task.epochs or done % settings.training.checkpoint_every == 0
            if checkpoint is not None and due:
                save_checkpoint(checkpoint, network, loop.optimizer, done, loop.history)
    return loop.history


class Loop:
    """A network in training, between one epoch and the next."""

    def __init__(self, network: nn.Module, task: Task, settings: NSADetectorSettings) -> None:
        self.network = network
        self.task = task
        self.label = settings.label
        self.settings = settings.training
        self.bfloat16 = uses_bfloat16(settings.precision, task.device)
        self.optimizer = torch.optim.Adam(network.parameters(), lr=self.settings.learning_rate)
        self.history: History = []
        self.finished = 0

    def keys(self, epoch: int) -> list[list[Key]]:
        """Return the batches of an epoch."""
        count = len(self.task.samples)
        return epoch_keys(self.task.seed, epoch, count, self.settings.batch_size)

    def run(self, epoch: int, made: Iterable[Batch]) -> None:
        """Train on the batches of an epoch and add its row to the history.

        Raises:
            TrainingError: the loss is not finite or diverged.
        """
        rate = learning_rate(epoch, self.task.epochs, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        losses, sizes = [], []
        for batch in made:
            losses.append(self._step(batch, epoch))
            sizes.append(len(batch[0]))
        mean = sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)
        step = (epoch + 1) * len(losses) - 1
        self.history.append({"step": step, "epoch": epoch + 1, "loss": mean, "learning_rate": rate})

    def _step(self, batch: Batch, epoch: int) -> float:
        images, labels = batch
        with mixed(self.task.device, bfloat16=self.bfloat16):
            output = self.network(images)
        loss = label_loss(output, labels, self.label)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        value = loss.item()
        self._guard(value, epoch)
        self.optimizer.step()
        return value

    def _guard(self, loss: float, epoch: int) -> None:
        first = self.history[0]["loss"] if self.history else loss
        limit = self.settings.divergence_factor * max(1.0, first)
        if math.isfinite(loss) and loss <= limit:
            return
        raise TrainingError(
            f"training diverged in epoch {epoch + 1}: loss {loss:.4g} (at first {first:.4g}, limit "
            f"{limit:.4g}); lower training.learning_rate, or set precision to float32"
        )


def learning_rate(epoch: int, epochs: int, settings: TrainingSettings) -> float:
    """Return the rate of an epoch: half a cosine from the first to just before the final rate."""
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * (1 + math.cos(math.pi * epoch / epochs)) / 2
