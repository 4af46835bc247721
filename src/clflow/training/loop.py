"""A training loop of a fixed number of steps that resumes where it was broken off."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from clflow.errors import TrainingError
from clflow.progress import track
from clflow.training.checkpoint import History, load_checkpoint, save_checkpoint

Terms = dict[str, float]
Objective = Callable[[int], tuple[Tensor, Terms]]


def stream(*key: int) -> torch.Generator:
    """Return a generator for one purpose: the seed, the purpose, its index."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def batch_rows(count: int, size: int, seed: int, step: int) -> Tensor:
    """Return which of `count` images a step sees: epochs are shuffled anew, none is cut short."""
    size = min(size, count)
    epoch, place = divmod(step, count // size)
    return torch.randperm(count, generator=stream(seed, 0, epoch))[place * size :][:size]


def run_loop(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    objective: Objective,
    steps: int,
    label: str,
    log_every: int,
    checkpoint_every: int,
    checkpoint: Path | None,
) -> History:
    """Train in place and return the history: the objective's terms at the logged steps.

    Every random choice must follow from the step: a resumed run then ends as an unbroken one.

    Raises:
        TrainingError: the loss or its gradient is not finite.
    """
    history: History = []
    start = 0
    if checkpoint is not None and checkpoint.is_file():
        start, history = load_checkpoint(checkpoint, model, optimizer)
    for step in track(range(start, steps), label, steps - start):
        loss, terms = objective(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        _guard(label, step, loss, model)
        optimizer.step()
        last = step + 1 == steps
        if last or step % log_every == 0:
            history.append({"step": step, **terms})
        if checkpoint is not None and (last or (step + 1) % checkpoint_every == 0):
            save_checkpoint(checkpoint, model, optimizer, step + 1, history)
    return history


def _guard(label: str, step: int, loss: Tensor, model: nn.Module) -> None:
    gradients = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    norm = float(torch.stack(gradients).norm())
    if not (math.isfinite(loss.item()) and math.isfinite(norm)):
        raise TrainingError(
            f"{label} diverged at step {step}: loss {loss.item():.4g}, gradient norm {norm:.4g}; "
            "lower its learning_rate"
        )
