"""Training the flows: which cells a step sees, its losses, and the schedule."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from clflow.detectors.flow.dataset import TrainingFeatures
from clflow.detectors.flow.density import LevelDensity
from clflow.detectors.flow.objective import Objective, draw_batch
from clflow.detectors.flow.settings import FlowSettings, TrainingSettings
from clflow.detectors.protocol import NO_WORKSPACE, Workspace
from clflow.training.checkpoint import History
from clflow.training.loop import Course, Row, Step, Terms, congruential, run_loop, stream

_STEP, _EPOCH = 1, 2


def train(
    densities: nn.ModuleList,
    data: TrainingFeatures,
    settings: FlowSettings,
    seed: int,
    device: torch.device,
    workspace: Workspace = NO_WORKSPACE,
) -> History:
    """Train the densities in place, leave them in evaluation mode and return the history.

    Every random choice of a step follows from (seed, step).

    Raises:
        TrainingError: the loss or its gradient is not finite, or the loss diverged.
    """
    training = settings.training
    optimizer = torch.optim.Adam(
        densities.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    levels: list[LevelDensity] = list(densities)  # type: ignore[arg-type]
    steps = Steps(levels, data, settings, seed, device)
    course = Course(
        steps=training.steps,
        label="training",
        log_every=training.log_every,
        checkpoint_every=training.checkpoint_every,
        checkpoint=workspace.checkpoint,
        scheduler=_scheduler(optimizer, training),
        gradient_clip=training.gradient_clip,
        divergence_factor=training.divergence_factor,
        remedy="lower training.learning_rate or set training.gradient_clip",
        row=steps.row,
        observer=workspace.observer,
    )
    return run_loop(densities, optimizer, steps.loss, course)


@dataclass(frozen=True, eq=False)
class Steps:
    """What each step of a training sees and what is kept of it."""

    levels: list[LevelDensity]
    data: TrainingFeatures
    settings: FlowSettings
    seed: int
    device: torch.device

    def loss(self, step: int) -> tuple[Tensor, Terms]:
        """Return the loss of a step and its terms."""
        generator = stream(self.seed, _STEP, step, mixer=congruential)
        batch = draw_batch(self.rows(step), self.data.negatives, generator)
        objective = Objective(self.data, self.settings, self.device)
        return objective(self.levels, batch, self._ramp(step), generator)

    def rows(self, step: int) -> Tensor:
        """Return the good images of a step: epochs are shuffled anew, a batch may span two."""
        count, size = len(self.data.good[0]), self.settings.training.batch_size
        start = step * size
        epochs = range(start // count, (start + size - 1) // count + 1)
        order = torch.cat([self._order(epoch, count) for epoch in epochs])
        offset = start - epochs.start * count
        return order[offset : offset + size]

    def row(self, step: Step) -> Row | None:
        """Return what the history keeps of a step, None between the logged ones."""
        training = self.settings.training
        if step.index % training.log_every and step.index + 1 != training.steps:
            return None
        epoch = (step.index + 1) * training.batch_size / len(self.data.good[0])
        row: Row = {"step": step.index, "epoch": epoch, "loss": step.loss, **step.terms}
        return row | {"learning_rate": step.learning_rate, "gradient_norm": step.gradient_norm}

    def _order(self, epoch: int, count: int) -> Tensor:
        return torch.randperm(count, generator=stream(self.seed, _EPOCH, epoch, mixer=congruential))

    def _ramp(self, step: int) -> float:
        steps = self.settings.training.ramp * self.settings.training.steps
        return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


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
