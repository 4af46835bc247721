"""The training loop: a fixed number of steps, resumable, the last step is the model."""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from clflow.detectors.flow.dataset import TrainingFeatures
from clflow.detectors.flow.density import LevelDensity
from clflow.detectors.flow.objective import Objective, draw_batch
from clflow.detectors.flow.settings import FlowSettings, TrainingSettings
from clflow.detectors.protocol import Observer
from clflow.errors import TrainingError
from clflow.progress import track
from clflow.training.checkpoint import History, load_checkpoint, save_checkpoint


def train(
    densities: nn.ModuleList,
    data: TrainingFeatures,
    settings: FlowSettings,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    observer: Observer | None = None,
) -> History:
    """Train the densities in place, leave them in evaluation mode and return the history.

    Every random choice of a step follows from (seed, step), so a resumed run gives the weights of
    an unbroken one, and an observed run those of one that is not.

    Raises:
        TrainingError: the loss or its gradient is not finite, or the loss diverged.
    """
    densities.train()
    loop = _Loop(densities, data, settings, seed, device)
    if checkpoint is not None and checkpoint.is_file():
        loop.resume(checkpoint)
    total = settings.training.steps
    for step in track(range(loop.finished, total), "training", total - loop.finished):
        loop.run(step)
        last = step + 1 == total
        if checkpoint is not None and (
            last or (step + 1) % settings.training.checkpoint_every == 0
        ):
            save_checkpoint(checkpoint, densities, loop.optimizer, step + 1, loop.history)
        if observer is not None:
            # it scores as the trained model will
            densities.eval()
            observer(step + 1)
            densities.train()
    densities.eval()
    return loop.history


class _Loop:
    def __init__(
        self,
        densities: nn.ModuleList,
        data: TrainingFeatures,
        settings: FlowSettings,
        seed: int,
        device: torch.device,
    ) -> None:
        self.densities = densities
        self.levels: list[LevelDensity] = list(densities)  # type: ignore[arg-type]
        self.data = data
        self.settings = settings.training
        self.seed = seed
        self.objective = Objective(data, settings, device)
        self.optimizer = torch.optim.Adam(
            densities.parameters(),
            lr=self.settings.learning_rate,
            weight_decay=self.settings.weight_decay,
        )
        self.scheduler = _scheduler(self.optimizer, self.settings)
        self.history: History = []
        self.finished = 0

    def resume(self, checkpoint: Path) -> None:
        self.finished, self.history = load_checkpoint(checkpoint, self.densities, self.optimizer)
        # without gradients a no-op, which the scheduler wants to see before its own first step
        self.optimizer.step()
        for _ in range(self.finished):
            self.scheduler.step()

    def run(self, step: int) -> None:
        generator = _stream(self.seed, 1, step)
        batch = draw_batch(self._rows(step), self.data.negatives, generator)
        loss, terms = self.objective(self.levels, batch, self._ramp(step), generator)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = self._clip()
        self._guard(step, loss.item(), norm)
        if step % self.settings.log_every == 0 or step + 1 == self.settings.steps:
            self._log(step, loss.item(), terms, norm)
        self.optimizer.step()
        self.scheduler.step()

    def _rows(self, step: int) -> Tensor:
        """Return the good images of a step: epochs are shuffled anew, a batch may span two."""
        count = len(self.data.good[0])
        size = self.settings.batch_size
        start = step * size
        epochs = range(start // count, (start + size - 1) // count + 1)
        order = torch.cat(
            [torch.randperm(count, generator=_stream(self.seed, 2, epoch)) for epoch in epochs]
        )
        offset = start - epochs.start * count
        return order[offset : offset + size]

    def _ramp(self, step: int) -> float:
        steps = self.settings.ramp * self.settings.steps
        return min(1.0, (step + 1) / steps) if steps > 0 else 1.0

    def _clip(self) -> float:
        limit = self.settings.gradient_clip or math.inf
        return nn.utils.clip_grad_norm_(self.densities.parameters(), limit).item()

    def _guard(self, step: int, loss: float, norm: float) -> None:
        first = self.history[0]["loss"] if self.history else loss
        limit = self.settings.divergence_factor * max(1.0, abs(first))
        if math.isfinite(loss) and math.isfinite(norm) and loss <= limit:
            return
        message = (
            f"training diverged at step {step}: loss {loss:.4g}, gradient norm {norm:.4g} "
            f"(first loss {first:.4g}, limit {limit:.4g}); lower training.learning_rate or set "
            "training.gradient_clip"
        )
        raise TrainingError(message)

    def _log(self, step: int, loss: float, terms: dict[str, float], norm: float) -> None:
        epoch = (step + 1) * self.settings.batch_size / len(self.data.good[0])
        rate = self.optimizer.param_groups[0]["lr"]
        row: dict[str, float] = {"step": step, "epoch": epoch, "loss": loss, **terms}
        self.history.append(row | {"learning_rate": rate, "gradient_norm": norm})


def _scheduler(optimizer: torch.optim.Optimizer, settings: TrainingSettings) -> LRScheduler:
    if settings.schedule == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    return OneCycleLR(
        optimizer,
        max_lr=settings.learning_rate,
        # the scheduler is stepped once more than there are steps after the last one
        total_steps=settings.steps + 1,
        pct_start=settings.warmup,
    )


def _stream(*key: int) -> torch.Generator:
    """Return a generator for one purpose: the seed, the purpose and its index, mixed."""
    mixed = 0
    for part in key:
        mixed = (mixed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return torch.Generator().manual_seed(mixed)
