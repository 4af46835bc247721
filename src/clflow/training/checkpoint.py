"""Checkpoints of a training run: tensors in safetensors, the rest in its JSON metadata."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from clflow.files import atomic_path
from clflow.progress import say

History = list[dict[str, float]]
Tensors = dict[str, torch.Tensor]

_DIGEST = "sha256"


def save_checkpoint(
    path: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    history: History,
) -> None:
    """Write model, optimiser moments, step and history, whole or not at all."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"step": str(step), "history": json.dumps(history)}
    metadata[_DIGEST] = _digest(contiguous, metadata)
    with atomic_path(path) as partial:
        partial.write_bytes(save(contiguous, metadata))


def load_checkpoint(
    path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, History] | None:
    """Restore model and optimiser; return the number of finished steps and the history.

    A file that is damaged is told in a line and changes neither: None is returned.
    """
    try:
        tensors, metadata = _read(path)
    except (SafetensorError, ValueError, OSError) as error:
        say(f"checkpoint {path} is damaged ({error}): the training starts anew")
        return None
    model.load_state_dict(_section(tensors, "model."))
    state: dict[int, dict[str, Any]] = {}
    for name, value in _section(tensors, "optimizer.").items():
        index, moment = name.split(".")
        state.setdefault(int(index), {})[moment] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(metadata["step"]), json.loads(metadata["history"])


def _read(path: Path) -> tuple[Tensors, dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata.pop(_DIGEST, "") != _digest(tensors, metadata):
        raise ValueError("its content is not what was written")
    return tensors, metadata


def _digest(tensors: Tensors, metadata: Mapping[str, str]) -> str:
    digest = sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _section(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
