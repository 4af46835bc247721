"""Checkpoints come back bit for bit, or not at all."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clflow.training.checkpoint import load_checkpoint, save_checkpoint

HISTORY = [{"step": 0.0, "loss": 1.5}]


def trained(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a small network with batch statistics after two steps, and its optimiser."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()
    return model, optimizer


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    save_checkpoint(tmp_path / "c", model, optimizer, 7, HISTORY)
    other, its_optimizer = trained(1)
    assert load_checkpoint(tmp_path / "c", other, its_optimizer) == (7, HISTORY)
    for one, same in zip(model.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, same)
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, its_optimizer.state_dict()["state"][index][name])


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_checkpoint_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("checkpoint") / "c"
    save_checkpoint(path, *trained(0), 7, HISTORY)
    content = bytearray(path.read_bytes())
    index = int(place * len(content))
    if cut:
        del content[index:]
    else:
        content[index] ^= 1 << bit
    path.write_bytes(content)
    model, optimizer = trained(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert load_checkpoint(path, model, optimizer) is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
