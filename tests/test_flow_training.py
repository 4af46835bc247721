"""The training loop: same seed same weights, resumed or not, and a guard against divergence."""

from pathlib import Path
from typing import Any

import pytest
import torch
from flow_cases import seeded, small_settings
from pydantic import ValidationError
from torch import Tensor, nn

from clflow.detectors.flow import training
from clflow.detectors.flow.dataset import NegativeFeatures, TrainingFeatures
from clflow.detectors.flow.density import LevelDensity
from clflow.detectors.flow.objective import Objective, draw_batch
from clflow.detectors.flow.settings import FlowSettings
from clflow.detectors.flow.training import train
from clflow.detectors.protocol import Workspace
from clflow.errors import TrainingError
from clflow.training.checkpoint import save_checkpoint

CPU = torch.device("cpu")
METHODS = ["fastflow", "clflow_paper", "clflow"]


def features(levels: tuple[int, ...] = (4,), count: int = 7, side: int = 8) -> TrainingFeatures:
    good = [torch.randn(count, c, side, side, generator=seeded(c)).half() for c in levels]
    cells = torch.zeros(count, side, side, dtype=torch.bool)
    cells[:, 2:4, 3:6] = True
    negatives = NegativeFeatures(
        levels=[level + 3 * cells[:, None] for level in good],
        cells=[cells] * len(levels),
        boxes=((((3 / side, 2 / side, 6 / side, 4 / side)),),) * count,
        of_good=(*((index,) for index in range(count - 1)), ()),
    )
    return TrainingFeatures(good, negatives)


def densities(settings: FlowSettings, levels: tuple[int, ...] = (4,)) -> nn.ModuleList:
    return nn.ModuleList(LevelDensity(c, settings, seeded()) for c in levels)


def weights(model: nn.Module) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_gives_the_same_weights(method: str) -> None:
    settings = small_settings(method)
    models = [densities(settings) for _ in range(3)]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        train(model, features(), settings, seed, CPU)
    one, two, other = map(weights, models)
    assert all(map(torch.equal, one, two))
    assert not all(map(torch.equal, one, other))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("killed_at", [3, 4, 5])
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(
    method: str, killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings(method)
    unbroken, broken = densities(settings), densities(settings)
    history = train(unbroken, features(), settings, 5, CPU)
    loss = training.Steps.loss

    def killed(self: training.Steps, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == killed_at:
            raise KeyboardInterrupt
        return loss(self, step)

    monkeypatch.setattr(training.Steps, "loss", killed)
    with pytest.raises(KeyboardInterrupt):
        train(broken, features(), settings, 5, CPU, Workspace(tmp_path / "checkpoint"))
    monkeypatch.undo()
    resumed = densities(settings)
    assert (
        train(resumed, features(), settings, 5, CPU, Workspace(tmp_path / "checkpoint")) == history
    )
    assert all(map(torch.equal, weights(unbroken), weights(resumed)))
    assert not all(map(torch.equal, weights(unbroken), weights(broken)))


def test_a_finished_checkpoint_is_not_trained_further(tmp_path: Path) -> None:
    settings = small_settings("fastflow")
    model = densities(settings)
    train(model, features(), settings, 5, CPU, Workspace(tmp_path / "checkpoint"))
    again = densities(settings)
    train(again, features(), settings, 5, CPU, Workspace(tmp_path / "checkpoint"))
    assert all(map(torch.equal, weights(model), weights(again)))


def test_checkpoints_hold_no_pickle(tmp_path: Path) -> None:
    model = densities(small_settings("fastflow"))
    optimizer = torch.optim.Adam(model.parameters())
    save_checkpoint(tmp_path / "checkpoint", model, optimizer, 0, [])
    content = (tmp_path / "checkpoint").read_bytes()
    assert int.from_bytes(content[:8], "little") < len(content)
    assert content[8:9] == b"{"


@pytest.mark.parametrize("method", ["fastflow", "clflow_paper"])
def test_training_raises_the_likelihood_of_good_cells(method: str) -> None:
    settings = small_settings(method, training={"steps": 60, "learning_rate": 0.01})
    history = train(densities(settings), features(), settings, 0, CPU)
    assert history[-1]["nll"] < history[0]["nll"] - 0.01


def test_classification_separates_the_cells() -> None:
    settings = small_settings("clflow", training={"steps": 80, "learning_rate": 0.02})
    history = train(densities(settings), features(), settings, 0, CPU)
    assert history[-1]["classification"] < 0.5 * history[0]["classification"]


def test_not_a_number_stops_with_the_step() -> None:
    settings = small_settings("fastflow")
    data = features()
    data.good[0][:] = float("nan")
    with pytest.raises(TrainingError, match="diverged at step 0: loss nan"):
        train(densities(settings), data, settings, 0, CPU)


def test_divergence_stops_with_the_step() -> None:
    settings = small_settings("fastflow", training={"steps": 200, "learning_rate": 100.0})
    with pytest.raises(TrainingError, match=r"diverged at step [1-9]\d*: loss"):
        train(densities(settings), features(), settings, 0, CPU)


def test_an_epoch_shows_every_image_once() -> None:
    settings = small_settings("fastflow", training={"batch_size": 3})
    steps = training.Steps([], features(count=7), settings, 0, CPU)
    seen = torch.cat([steps.rows(step) for step in range(7)])
    for epoch in range(3):
        assert sorted(seen[7 * epoch : 7 * epoch + 7].tolist()) == list(range(7))


def test_a_batch_takes_an_own_anomaly_of_each_image_that_has_one() -> None:
    negatives = features().negatives
    batch = draw_batch(torch.tensor([6, 2, 4]), negatives, seeded())
    assert batch.negatives.tolist() == [2, 4]
    assert batch.twins.tolist() == [1, 2]


@pytest.mark.parametrize(
    "losses",
    [
        {},
        {"classification": {"loss": "cross_entropy"}},
        {"contrast": {"weight": 1.0, "form": "ranking"}},
    ],
    ids=["hinge", "cross-entropy", "ranking"],
)
def test_pointwise_rows_give_the_loss_of_whole_maps(losses: dict[str, Any]) -> None:
    """With every location drawn, sampling changes the order of cells and nothing else."""
    sampled = small_settings("clflow", training={"locations": 64}, **losses)
    whole = small_settings("clflow", training={"locations": None}, **losses)
    batch = draw_batch(torch.arange(6), features().negatives, seeded())
    found = []
    for settings in (sampled, whole):
        loss, _ = Objective(features(), settings, CPU)(
            [LevelDensity(4, settings, seeded())], batch, 1.0, seeded()
        )
        found.append(loss.item())
    assert found[0] == pytest.approx(found[1], rel=1e-5)


@pytest.mark.parametrize("locations", [None, 16])
@pytest.mark.parametrize("form", ["ranking", "projection"])
def test_contrast_of_cells_is_learned(form: str, locations: int | None) -> None:
    contrast = {"weight": 1.0, "form": form}
    schedule = {"locations": locations, "steps": 40, "batch_size": 6, "learning_rate": 0.01}
    settings = small_settings(
        "clflow", contrast=contrast, classification={"weight": 0.0}, training=schedule
    )
    history = train(densities(settings), features(), settings, 0, CPU)
    assert history[-1]["contrast"] < 0.9 * history[0]["contrast"]


@pytest.mark.parametrize("method", ["clflow", "clflow_paper"])
def test_anomalies_without_an_anomalous_cell_leave_the_likelihood(method: str) -> None:
    settings = small_settings(method)
    data = features()
    assert data.negatives is not None
    data.negatives.cells[0].zero_()
    batch = draw_batch(torch.arange(6), data.negatives, seeded())
    _, terms = Objective(data, settings, CPU)(densities(settings), batch, 1.0, seeded())
    assert list(terms) == ["nll"]


def test_box_contrast_and_an_identity_say_what_they_need() -> None:
    with pytest.raises(ValidationError, match="'margin' needs whole maps"):
        small_settings("clflow", contrast={"weight": 1.0})
    with pytest.raises(ValidationError, match="nothing to train"):
        small_settings("clflow", flow={"steps": 0}, classification={"weight": 0.0})


def test_ramp_scales_the_losses_of_the_negatives() -> None:
    settings = small_settings("clflow_paper")
    batch = draw_batch(torch.arange(6), features().negatives, seeded())
    objective = Objective(features(), settings, CPU)
    density = [LevelDensity(4, settings, seeded())]
    none, terms = objective(density, batch, 0.0, seeded())
    full, _ = objective(density, batch, 1.0, seeded())
    extra = 0.1 * terms["classification"] + 0.1 * terms["contrast"]
    assert none.item() == pytest.approx(terms["nll"])
    assert full.item() == pytest.approx(terms["nll"] + extra, rel=1e-5)
