"""What needs anomalib: building a peer and running its own steps, optimiser and schedule."""

import math
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import torch
from anomalib.data import ImageBatch
from anomalib.pre_processing import PreProcessor
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import Resize

from clflow.detectors.anomalib.handover import handed_over, normalised
from clflow.errors import TrainingError
from clflow.features.backbone import Backbone
from clflow.progress import say

History = list[dict[str, float]]

_REPORTS = 10


def build_module(target: str, backbone: Backbone, size: int, arguments: dict[str, Any]) -> Any:
    """Return a peer's Lightning module on our backbone, without its post-processing.

    Args:
        target: `module:class`.
        size: side of the input in pixels; some peers read it off the resizing of their input, which
            changes nothing here.
    """
    place, name = target.split(":")
    with handed_over(backbone):
        return getattr(import_module(place), name)(
            **arguments,
            pre_processor=PreProcessor(transform=Resize((size, size))),
            post_processor=False,
            evaluator=False,
            visualizer=False,
        )


def training_batches(
    pixels: Tensor, backbone: Backbone, batch_size: int, seed: int
) -> Iterable[ImageBatch]:
    """Return good images, uint8 [N, 3, H, W], as shuffled batches for anomalib's trainer."""

    def collate(rows: Sequence[int]) -> ImageBatch:
        batch = pixels[list(rows)]
        return ImageBatch(
            image=normalised(batch, backbone),
            gt_label=torch.zeros(len(batch), dtype=torch.bool),
            gt_mask=torch.zeros((len(batch), *batch.shape[2:]), dtype=torch.bool),
        )

    return DataLoader(
        range(len(pixels)),  # type: ignore[arg-type]
        batch_size=batch_size,
        shuffle=True,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(seed),
    )


class _Losses(Callback):
    """Keeps the mean loss of every epoch and ends a run whose loss is no number."""

    def __init__(self, epochs: int) -> None:
        self.history: History = []
        self._losses: list[float] = []
        self._epochs = epochs

    def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, *_: Any) -> None:
        """Note the loss of a step."""
        loss = float(outputs["loss"])
        if not math.isfinite(loss):
            raise TrainingError(
                f"training diverged at step {trainer.global_step}: loss {loss}; the peer's own "
                "schedule does not suit this backbone"
            )
        self._losses.append(loss)

    def on_train_epoch_end(self, trainer: Trainer, module: Any) -> None:
        """Note the mean loss of an epoch."""
        epoch, loss = trainer.current_epoch + 1, sum(self._losses) / len(self._losses)
        self.history.append({"step": trainer.global_step - 1, "epoch": epoch, "loss": loss})
        self._losses.clear()
        if epoch % max(1, self._epochs // _REPORTS) == 0:
            say(f"epoch {epoch}/{self._epochs}: loss {loss:.4g}")


def run_training(module: Any, batches: Iterable[Any], epochs: int, device: torch.device) -> History:
    """Fit a peer's module in place; return its mean losses, none where it only collects features.

    No validation, no early stopping, no checkpoint: nothing but the training images is seen.

    Raises:
        TrainingError: the loss is no number.
    """
    own = module.trainer_arguments
    collects = own.get("max_epochs") == 1
    losses = _Losses(epochs)
    options: dict[str, Any] = {
        "max_epochs": epochs,
        "accelerator": "gpu" if device.type == "cuda" else "cpu",
        "devices": 1,
        "limit_val_batches": 0,
        "callbacks": [] if collects else [losses],
        "deterministic": "warn" if torch.are_deterministic_algorithms_enabled() else False,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    Trainer(**{**options, **own}).fit(module, train_dataloaders=batches)
    return losses.history
