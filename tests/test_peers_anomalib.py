"""The peers themselves; they need the extra `peers`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import grain, seeded, spotted, training_data
from other_device import NAME, OtherDevice
from torch import Tensor

from clflow.data.images import ArrayImages
from clflow.detectors.anomalib.detector import PeerDetector
from clflow.detectors.anomalib.handover import normalised
from clflow.detectors.registry import METHODS, find_method
from clflow.errors import SettingsError
from clflow.features.store import read_pixels

pytestmark = pytest.mark.skipif(
    find_spec("anomalib") is None, reason="the extra `peers` is not installed (`make peers`)"
)

PEERS = [name for name in METHODS if name.startswith("anomalib.")]
TRAINED = [name for name in PEERS if find_method(name).length]
TEST = ArrayImages(grain(3, 9) + spotted(grain(3, 10))[0])


def small(name: str, **changes: Any) -> PeerDetector:
    method = find_method(name)
    size = 128 if name == "anomalib.supersimplenet" else 64
    values: dict[str, Any] = {"image_size": size, "batch_size": 4}
    if method.length:
        values["training"] = {"epochs": 2}
    settings = method.settings_model.model_validate(method.complete(values | changes))
    return method.detector_class()(settings)  # type: ignore[return-value]


def fit(name: str, seed: int = 3, **changes: Any) -> PeerDetector:
    return small(name, **changes).fit(training_data(10, with_negatives=False), seeded(seed))


@pytest.fixture(scope="module", params=PEERS)
def fitted(request: pytest.FixtureRequest) -> tuple[str, PeerDetector]:
    return request.param, fit(request.param)


@pytest.mark.parametrize("name", PEERS)
def test_built_beside_a_backbone_on_another_device(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLFLOW_DEVICE", NAME)
    with OtherDevice():
        detector = small(name)
        model = detector.build().model.to(detector.device)
        assert {value.device.type for value in detector.backbone.state_dict().values()} == {NAME}
        assert {value.device.type for value in model.state_dict().values()} <= {NAME}


def test_saved_detector_scores_the_same(fitted: tuple[str, PeerDetector], tmp_path: Path) -> None:
    _, detector = fitted
    size = detector.settings.image_size
    scores = detector.score(TEST)
    assert scores.image_scores.shape == (6,)
    assert scores.anomaly_maps.shape == (6, size, size)
    assert np.isfinite(scores.anomaly_maps).all()
    detector.save(tmp_path)
    loaded = type(detector).load(tmp_path).score(TEST)
    np.testing.assert_array_equal(loaded.image_scores, scores.image_scores)
    np.testing.assert_array_equal(loaded.anomaly_maps, scores.anomaly_maps)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}


def test_same_seed_gives_the_same_scores(fitted: tuple[str, PeerDetector]) -> None:
    name, detector = fitted
    again = fit(name).score(TEST)
    np.testing.assert_array_equal(again.anomaly_maps, detector.score(TEST).anomaly_maps)


def test_scores_do_not_depend_on_the_other_images(fitted: tuple[str, PeerDetector]) -> None:
    """Some peers scale maps by the batch they are in: such scores could not be compared."""
    _, detector = fitted
    whole, alone = detector.score(TEST), detector.score(ArrayImages([TEST[4]]))
    np.testing.assert_allclose(alone.image_scores, whole.image_scores[4:5], rtol=1e-4)
    np.testing.assert_allclose(alone.anomaly_maps[0], whole.anomaly_maps[4], rtol=1e-4, atol=1e-5)


def test_features_are_those_of_our_own_methods(fitted: tuple[str, PeerDetector]) -> None:
    _, detector = fitted
    seen: list[list[Tensor]] = []
    pixels = read_pixels(TEST, detector.settings.image_size, "images")
    hook = detector.backbone.network.register_forward_hook(lambda *a: seen.append(list(a[2])))
    with torch.inference_mode():
        detector.raw_scores(normalised(pixels, detector.backbone))
    hook.remove()
    for given, ours in zip(seen[0], detector.backbone(pixels), strict=True):
        torch.testing.assert_close(given, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["anomalib.patchcore", "anomalib.padim", "anomalib.dfm"])
def test_spotted_images_score_higher(name: str) -> None:
    scores = fit(name).score(TEST).image_scores
    assert scores[:3].max() < scores[3:].min()


@pytest.mark.parametrize("name", ["anomalib.patchcore", "anomalib.padim", "anomalib.stfpm"])
def test_seed_matters(name: str) -> None:
    one, other = (fit(name, seed).score(TEST).anomaly_maps for seed in (3, 4))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", TRAINED)
def test_history_has_every_epoch(name: str) -> None:
    detector = fit(name)
    assert [(row["step"], row["epoch"]) for row in detector.history_] == [(2, 1), (5, 2)]


def test_training_sees_good_images_only_and_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit("anomalib.stfpm")
    assert not list(tmp_path.iterdir())


def test_coreset_is_the_asked_part_of_the_patches() -> None:
    parameters = {"coreset_sampling_ratio": 0.05, "num_neighbors": 3}
    detector = fit("anomalib.patchcore", parameters=parameters)
    memory = detector.model_.state_dict()["memory_bank"]
    assert memory.shape == (10 * 8 * 8 * 0.05, 40 + 112)


def test_sigmoid_of_supersimplenet_is_left_out() -> None:
    detector = fit("anomalib.supersimplenet")
    size = detector.settings.image_size
    images = normalised(read_pixels(TEST, size, "images"), detector.backbone)
    with torch.inference_mode():
        scores, maps = detector.raw_scores(images)
        theirs = detector.model_(images)
    torch.testing.assert_close(scores.sigmoid(), theirs.pred_score)
    torch.testing.assert_close(maps.sigmoid(), theirs.anomaly_map)
    assert scores.min() < 0 or scores.max() > 1


@pytest.mark.parametrize(
    ("name", "parameters", "complaint"),
    [
        ("anomalib.padim", {"n_features": 177}, "n_features <= 176"),
        ("anomalib.patchcore", {"coreset_sampling_ratio": 1e-4}, "coreset_size must be a positive"),
    ],
)
def test_what_a_peer_refuses_is_a_settings_error(
    name: str, parameters: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=f"refuses its parameters: .*{complaint}"):
        fit(name, parameters=parameters)


def test_quick_coreset_picks_the_points_that_anomalib_picks() -> None:
    quick, own = (fit("anomalib.patchcore", coreset=kind) for kind in ("quick", "own"))
    bank, same = (dict(found.model_.named_buffers())["memory_bank"] for found in (quick, own))
    assert len(bank) > 50
    torch.testing.assert_close(bank, same, rtol=0, atol=0)
