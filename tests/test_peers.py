"""Peers without their library: settings, the backbone's hand-over, global state, files."""

import json
import logging
import random
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_peer import FakePeer
from flow_cases import grain, seeded, spotted, training_data
from pydantic import ValidationError
from torch import nn

from clflow.data.images import ArrayImages
from clflow.detectors.anomalib.detector import BATCH_SIZE
from clflow.detectors.anomalib.handover import (
    handed_over,
    lent_global_state,
    normalised,
    own_tensors,
)
from clflow.detectors.anomalib.settings import PadimSettings, PeerSettings
from clflow.detectors.registry import METHODS, find_method, merged
from clflow.errors import SettingsError, TrainingError
from clflow.features.backbone import build_backbone
from clflow.features.registry import BackboneSettings
from clflow.features.store import read_pixels

timm = import_module("timm")  # after what makes torchvision importable

PEERS = [name for name in METHODS if name.startswith("anomalib.")]
TEST = ArrayImages(grain(3, 9) + spotted(grain(3, 10))[0])


def settings(name: str = "anomalib.padim", **changes: Any) -> Any:
    method = find_method(name)
    return method.settings_model.model_validate(method.complete(changes))


def fake(weights: str = "bundled", channels: int = 8) -> FakePeer:
    backbone = {"levels": [1], "weights": weights}
    chosen = settings(backbone=backbone, image_size=64, parameters={"n_features": channels})
    return FakePeer(chosen)


@pytest.fixture(scope="module")
def fitted() -> FakePeer:
    return fake().fit(training_data(8, with_negatives=False), seeded(3))


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"image_size": 250}, "multiple of 32"),
        ({"image_size": 0}, "greater than or equal"),
        ({"batch_size": 1}, "greater than or equal to 2"),
        ({"backbone": {"name": "resnet81", "levels": None}}, "did you mean 'resnet18'"),
        ({"backbone": {"name": "resnet18"}}, "no bundled weights"),
        ({"backbone": {"levels": [1, 7]}}, "no levels"),
        ({"corset": 0.1}, "Extra inputs"),
    ],
)
def test_settings_refuse(name: str, changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(name, **changes)


def test_transformers_are_refused() -> None:
    name = "deit_base_distilled_patch16_384"
    backbone = {"name": name, "weights": "random", "levels": [7]}
    with pytest.raises(ValidationError, match="peers take convolutional ones"):
        settings(backbone=backbone, image_size=384)


@pytest.mark.parametrize(
    ("name", "levels", "complaint"),
    [
        ("anomalib.fastflow", [2, 3], r"must be \[1, 2, 3\]"),
        ("anomalib.patchflow", [1, 2, 3], r"must be \[2, 3, 4\]"),
        ("anomalib.dfm", [2, 3], "a single level"),
    ],
)
def test_levels_that_a_peer_does_not_read_are_refused(
    name: str, levels: list[int], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(name, backbone={"levels": levels})


@pytest.mark.parametrize("name", PEERS)
def test_arguments_are_the_peers_own_parameters(name: str) -> None:
    own = find_method(name).complete({}).get("parameters", {})
    assert settings(name).arguments == own


@pytest.mark.parametrize(("name", "epochs"), [("anomalib.padim", 1), ("anomalib.stfpm", 100)])
def test_epochs(name: str, epochs: int) -> None:
    assert settings(name).epochs == epochs


def backbone_of(levels: tuple[int, ...]) -> Any:
    return build_backbone(
        BackboneSettings(name="efficientnet_lite0", weights="random", levels=levels)
    )


def test_peer_is_given_our_network_and_timm_is_as_before() -> None:
    backbone, before = backbone_of((1, 3)), timm.create_model
    with handed_over(backbone):
        given = timm.create_model("any", pretrained=True, features_only=True, out_indices=[1, 3])
        student = timm.create_model("resnet18", pretrained=False, num_classes=2)
    assert given is backbone.network
    assert student.num_classes == 2
    assert timm.create_model is before


def test_peer_that_asks_for_other_levels_is_refused_and_timm_is_as_before() -> None:
    before = timm.create_model
    with (
        pytest.raises(SettingsError, match=r"set backbone.levels to \[2, 3\]"),
        handed_over(backbone_of((1, 2))),
    ):
        timm.create_model("any", pretrained=True, out_indices=[2, 3])
    assert timm.create_model is before


def test_own_tensors_leave_out_the_backbone_only() -> None:
    backbone = backbone_of((1,))
    model = nn.ModuleDict({"a": nn.Sequential(backbone.network), "b": nn.Linear(2, 2)})
    assert set(own_tensors(model, backbone)) == {"b.weight", "b.bias"}


def test_pixels_and_their_scale_are_those_of_our_own_methods() -> None:
    backbone = backbone_of((1,))
    pixels = read_pixels(TEST, 64, "images")
    np.testing.assert_array_equal(pixels[2].permute(1, 2, 0), TEST[2])
    expected = (TEST[2][5, 7] / 255 - np.array([0.5] * 3)) / np.array([0.5] * 3)
    np.testing.assert_allclose(normalised(pixels, backbone)[2, :, 5, 7], expected, rtol=1e-5)


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_lent_state_depends_on_the_seed_alone() -> None:
    seen = []
    for seed in (5, 5, 6):
        draws()
        with lent_global_state(seed):
            seen.append(draws())
    assert seen[0] == seen[1]
    assert all(one != other for one, other in zip(seen[0], seen[2], strict=True))


@pytest.mark.parametrize("deterministic", [True, False])
def test_lent_state_is_taken_back_whatever_happens(deterministic: bool) -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    expected = draws()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        with suppress(KeyboardInterrupt), lent_global_state(9):
            draws()
            torch.use_deterministic_algorithms(not deterministic)
            raise KeyboardInterrupt
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(before)
    assert draws() == expected
    assert logging.getLogger("lightning.pytorch").isEnabledFor(logging.WARNING)


def test_scores_are_those_of_the_model_raw(fitted: FakePeer) -> None:
    scores = fitted.score(TEST)
    assert scores.image_scores.shape == (6,)
    assert scores.anomaly_maps.shape == (6, 64, 64)
    assert scores.image_scores.dtype == scores.anomaly_maps.dtype == np.float32
    np.testing.assert_array_equal(scores.anomaly_maps.max((1, 2)), scores.image_scores)
    assert scores.image_scores[:3].max() < scores.image_scores[3:].min()
    assert scores.image_scores.max() > 1


def test_more_images_than_a_batch_keep_their_order(fitted: FakePeer) -> None:
    many = ArrayImages(list(TEST.arrays) * 3)
    assert len(many) > BATCH_SIZE
    expected = np.tile(fitted.score(TEST).image_scores, 3)
    np.testing.assert_allclose(fitted.score(many).image_scores, expected, rtol=1e-5)


def test_no_images_give_no_scores(fitted: FakePeer) -> None:
    assert fitted.score(ArrayImages([])).anomaly_maps.shape == (0, 64, 64)


def test_saved_detector_scores_the_same_and_stores_no_backbone(
    fitted: FakePeer, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    loaded = FakePeer.load(tmp_path)
    np.testing.assert_array_equal(loaded.score(TEST).anomaly_maps, fitted.score(TEST).anomaly_maps)
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "model.safetensors"}
    assert (tmp_path / "model.safetensors").stat().st_size < 2000


def test_seed_decides_what_is_drawn(fitted: FakePeer) -> None:
    data = training_data(8, with_negatives=False)
    random.random()
    again, other = (fake().fit(data, seeded(seed)).model_.state_dict() for seed in (3, 4))
    assert torch.equal(again["draws"], fitted.model_.state_dict()["draws"])
    assert not torch.equal(other["draws"], again["draws"])


def test_fitting_leaves_global_state_alone() -> None:
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    fake().fit(training_data(4, with_negatives=False), seeded(0))
    assert torch.equal(torch.rand(3), expected)


def test_other_backbone_weights_are_refused(fitted: FakePeer, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    changed = merged(description, {"settings": {"backbone": {"weights": "random"}}})
    (tmp_path / "model.json").write_text(json.dumps(changed))
    with pytest.raises(SettingsError, match="differ from those it was trained with"):
        FakePeer.load(tmp_path)


def test_model_of_another_version_is_refused(
    fitted: FakePeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.save(tmp_path)
    build = FakePeer.build

    def newer(self: FakePeer) -> Any:
        module = build(self)
        module.model.register_buffer("added", torch.zeros(1))
        return module

    monkeypatch.setattr(FakePeer, "build", newer)
    with pytest.raises(SettingsError, match="first 'added'; install the version named"):
        FakePeer.load(tmp_path)


def test_parameters_that_the_peer_refuses_are_a_settings_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(self: FakePeer) -> Any:
        raise ValueError("n_features is too large")

    monkeypatch.setattr(FakePeer, "build", refuse)
    with pytest.raises(SettingsError, match="refuses its parameters: n_features is too large"):
        fake().fit(training_data(4, with_negatives=False), seeded())


def test_peer_that_changes_the_backbone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(self: FakePeer, module: Any, *_: Any) -> list[dict[str, float]]:
        next(self.backbone.network.parameters()).data += 1
        return []

    monkeypatch.setattr(FakePeer, "train", spoil)
    with pytest.raises(TrainingError, match="changed the weights of its frozen backbone"):
        fake().fit(training_data(4, with_negatives=False), seeded())


def test_settings_models_of_peers_are_distinct() -> None:
    models = [find_method(name).settings_model for name in PEERS]
    assert len(set(models)) == len(PEERS)
    assert all(issubclass(model, PeerSettings) for model in models)
    assert find_method("anomalib.padim").settings_model is PadimSettings
