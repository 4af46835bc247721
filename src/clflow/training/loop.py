"""The training loop of every detector: a fixed number of steps, resumed where it was broken off."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from clflow.errors import TrainingError
from clflow.progress import track
from clflow.training.checkpoint import History, load_checkpoint, save_checkpoint

Terms = dict[str, float]
Objective = Callable[[int], tuple[Tensor, Terms]]
Row = dict[str, float]


def seed_sequence(key: tuple[int, ...]) -> int:
    """Mix integers as NumPy does."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def congruential(key: tuple[int, ...]) -> int:
    """Mix integers by a linear congruence (Knuth's MMIX constants), as the flows' weights do."""
    mixed = 0
    for part in key:
        mixed = (mixed * 6364136223846793005 + part + 1442695040888963407) % 2**63
    return mixed


def stream(*key: int, mixer: Callable[[tuple[int, ...]], int] = seed_sequence) -> torch.Generator:
    """Return a generator for one purpose: the seed, the purpose, its index, mixed."""
    return torch.Generator().manual_seed(mixer(key))


def batch_rows(count: int, size: int, seed: int, step: int) -> Tensor:
    """Return which of `count` images a step sees: epochs are shuffled anew, none is cut short."""
    size = min(size, count)
    epoch, place = divmod(step, count // size)
    return torch.randperm(count, generator=stream(seed, 0, epoch))[place * size :][:size]


@dataclass(frozen=True)
class Step:
    """What one step found: its loss and terms, and the norm of its gradient before clipping."""

    index: int
    loss: float
    terms: Terms
    gradient_norm: float
    learning_rate: float


@dataclass(frozen=True)
class Course:
    """How long is trained, and what happens beside the steps.

    Attributes:
        label: what is trained, for progress and errors.
        checkpoint: the file to resume from, written every `checkpoint_every` steps and at the end.
        scheduler: advanced after each step; it must follow from their number.
        gradient_clip: the largest norm of the gradient, None for any.
        divergence_factor: times max(1, |first logged loss|) is the loss that counts as diverged.
        remedy: what to do about a run that diverged.
        row: returns what the history keeps of a step, None for nothing; without it the terms of
            every `log_every`th step and of the last.
        observer: called after each step with the number of steps done, the model in evaluation
            mode.
    """

    steps: int
    label: str
    checkpoint_every: int
    log_every: int = 1
    checkpoint: Path | None = None
    scheduler: LRScheduler | None = None
    gradient_clip: float | None = None
    divergence_factor: float = math.inf
    remedy: str = "lower its learning_rate"
    row: Callable[[Step], Row | None] | None = None
    observer: Callable[[int], None] | None = None

    def logs(self, step: int) -> bool:
        """Return whether a step is among the logged ones."""
        return step % self.log_every == 0 or self.is_last(step)

    def is_last(self, step: int) -> bool:
        """Return whether a step ends the training."""
        return step + 1 == self.steps


def run_loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, objective: Objective, course: Course
) -> History:
    """Train in place, leave the model in evaluation mode, and return the history.

    Every random choice must follow from the step: a resumed run then ends as an unbroken one, and
    an observed run as one that is not.

    Args:
        objective: returns loss and terms of a step.

    Raises:
        TrainingError: the loss or its gradient is not finite, or the loss diverged.
    """
    start, history = _resume(model, optimizer, course)
    model.train()
    for step in track(range(start, course.steps), course.label, course.steps - start):
        loss, terms = objective(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        limit = course.gradient_clip or math.inf
        norm = nn.utils.clip_grad_norm_(model.parameters(), limit).item()
        rate = optimizer.param_groups[0]["lr"]
        found = Step(step, loss.item(), terms, norm, rate)
        _guard(found, history, course)
        row = _terms(found, course) if course.row is None else course.row(found)
        if row is not None:
            history.append(row)
        optimizer.step()
        if course.scheduler is not None:
            course.scheduler.step()
        due = course.is_last(step) or (step + 1) % course.checkpoint_every == 0
        if course.checkpoint is not None and due:
            save_checkpoint(course.checkpoint, model, optimizer, step + 1, history)
        if course.observer is not None:
            # it scores as the trained model will
            model.eval()
            course.observer(step + 1)
            model.train()
    model.eval()
    return history


def _resume(
    model: nn.Module, optimizer: torch.optim.Optimizer, course: Course
) -> tuple[int, History]:
    if course.checkpoint is None or not course.checkpoint.is_file():
        return 0, []
    found = load_checkpoint(course.checkpoint, model, optimizer)
    if found is None:
        return 0, []
    finished, history = found
    if course.scheduler is not None:
        # without gradients a no-op, which the scheduler wants to see before its own first step
        optimizer.step()
        for _ in range(finished):
            course.scheduler.step()
    return finished, history


def _terms(found: Step, course: Course) -> Row | None:
    return {"step": found.index, **found.terms} if course.logs(found.index) else None


def _guard(found: Step, history: History, course: Course) -> None:
    first = history[0].get("loss", found.loss) if history else found.loss
    limit = course.divergence_factor * max(1.0, abs(first))
    loss, norm = found.loss, found.gradient_norm
    if math.isfinite(loss) and math.isfinite(norm) and loss <= limit:
        return
    raise TrainingError(
        f"{course.label} diverged at step {found.index}: loss {loss:.4g}, gradient norm {norm:.4g} "
        f"(first loss {first:.4g}, limit {limit:.4g}); {course.remedy}"
    )
