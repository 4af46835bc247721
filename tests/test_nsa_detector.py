"""The NSA detector from images to scores, and its training loop."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import seeded
from nsa_detector_cases import (
    METHODS,
    category,
    good_images,
    member_of,
    small_settings,
    stacked,
    training_data,
)
from nsa_images import on_plain_ground
from sklearn.metrics import roc_auc_score

from clflow.data.images import ArrayImages
from clflow.detectors.nsa import training
from clflow.detectors.nsa.detector import BATCH_SIZE, NSADetector
from clflow.detectors.nsa.network import EncoderDecoder, build_network
from clflow.detectors.nsa.samples import FlySamples
from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.detectors.nsa.training import Task, learning_rate, train
from clflow.detectors.nsa.views import training_views
from clflow.detectors.protocol import Workspace
from clflow.errors import DataError, TrainingError
from clflow.pipeline.machine import detector_size
from clflow.synthesis.training_data import SyntheticAnomalies, TrainingData
from clflow.training import loop

CPU = torch.device("cpu")
MARGIN = 16


def scratched(images: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return copies with a striped patch on the object, and its mask [96, 96]."""
    mask = np.zeros((96, 96), bool)
    mask[40:56, 36:60] = True
    stripes = np.where(np.arange(96)[:, None, None] % 4 < 2, 20, 230)
    return [np.where(mask[..., None], stripes, image).astype(np.uint8) for image in images], mask


@pytest.fixture(autouse=True)
def _samples_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFLOW_WORKERS", "0")


def boxes(count: int, seed: int) -> list[np.ndarray]:
    """Return one textured box on plain ground, taken again and again by a noisy camera."""
    rng, scene = np.random.default_rng(seed), on_plain_ground(96, 96, 7).astype(float)
    shots = (scene + rng.normal(0, 3, scene.shape) for _ in range(count))
    return [shot.clip(0, 255).astype(np.uint8) for shot in shots]


@pytest.fixture(scope="module")
def fitted() -> NSADetector:
    """Return a detector of boxes that has learned a little."""
    data = TrainingData(ArrayImages(boxes(16, 0)), category=category("object"))
    settings = small_settings(label="binary", training={"epochs": 12})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLFLOW_WORKERS", "0")
        return NSADetector(settings).fit(data, seeded())


@pytest.fixture(scope="module")
def images() -> ArrayImages:
    return ArrayImages(boxes(6, 100) + scratched(boxes(6, 200))[0])


def task(settings: NSADetectorSettings, epochs: int = 3, seed: int = 5) -> Task:
    views = training_views("object", 0.0, settings)
    samples = FlySamples(stacked("object", 6), views, member_of("object", settings), seed)
    return Task(samples, epochs, seed, CPU)


def same_weights(one: EncoderDecoder, two: EncoderDecoder) -> bool:
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_defects_score_higher_and_lie_where_the_map_is_high(
    fitted: NSADetector, images: ArrayImages
) -> None:
    scores = fitted.score(images)
    assert scores.image_scores[:6].max() < scores.image_scores[6:].min()
    inside = np.s_[MARGIN:-MARGIN, MARGIN:-MARGIN]
    truth = np.stack([scratched([])[1][inside]] * 6)
    inner = np.stack([each[inside] for each in scores.anomaly_maps[6:]])
    assert roc_auc_score(truth.ravel(), inner.ravel()) > 0.65


def test_loss_falls_and_the_rate_follows_half_a_cosine(fitted: NSADetector) -> None:
    history = fitted.history_
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert [row["step"] for row in history] == list(range(3, 48, 4))
    assert history[-1]["loss"] < 0.6 * history[0]["loss"]
    settings = fitted.settings.training
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == settings.learning_rate
    assert all(one > two for one, two in pairwise(rates))
    middle = (settings.learning_rate + settings.final_learning_rate) / 2
    assert rates[6] == pytest.approx(middle)
    assert learning_rate(12, 12, settings) == pytest.approx(settings.final_learning_rate)


def test_maps_of_objects_are_zero_at_the_border_and_their_mean_is_the_score(
    fitted: NSADetector, images: ArrayImages
) -> None:
    scores = fitted.score(images)
    maps = scores.anomaly_maps
    assert maps.shape == (12, 96, 96)
    assert maps.dtype == scores.image_scores.dtype == np.float32
    inner = maps[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert maps.sum() == pytest.approx(inner.sum())
    assert (inner > 0).all()
    np.testing.assert_allclose(scores.image_scores, inner.mean((1, 2)), rtol=1e-5)


def test_bfloat16_hardly_changes_scores(
    fitted: NSADetector, images: ArrayImages, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    rounded = NSADetector.load(tmp_path)
    rounded.bfloat16 = True
    exact, near = (detector.score(images) for detector in (fitted, rounded))
    assert not np.array_equal(exact.anomaly_maps, near.anomaly_maps)
    np.testing.assert_allclose(near.image_scores, exact.image_scores, rtol=0.05, atol=0.002)
    mask = scratched([])[1]
    truth = np.stack([np.zeros_like(mask)] * 6 + [mask] * 6).ravel()
    one, two = (roc_auc_score(truth, each.anomaly_maps.ravel()) for each in (exact, near))
    assert one == pytest.approx(two, abs=0.005)


def test_saved_detector_scores_the_same(
    fitted: NSADetector, images: ArrayImages, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    loaded = NSADetector.load(tmp_path)
    for name in ("image_scores", "anomaly_maps"):
        np.testing.assert_array_equal(
            getattr(loaded.score(images), name), getattr(fitted.score(images), name)
        )
    assert loaded.kind_ == "object"
    assert {path.name for path in tmp_path.iterdir()} == {"model.json", "model.safetensors"}


def test_more_images_than_a_batch_keep_their_order(
    fitted: NSADetector, images: ArrayImages
) -> None:
    many = ArrayImages(list(images.arrays) * 3)
    assert len(many) > BATCH_SIZE
    expected = np.tile(fitted.score(images).image_scores, 3)
    np.testing.assert_allclose(fitted.score(many).image_scores, expected, rtol=1e-4)


def test_images_of_any_shape_are_squeezed(fitted: NSADetector) -> None:
    scores = fitted.score(ArrayImages([np.zeros((50, 130, 3), np.uint8)]))
    assert scores.anomaly_maps.shape == (1, 96, 96)


def test_no_images_give_no_scores(fitted: NSADetector) -> None:
    scores = fitted.score(ArrayImages([]))
    assert scores.image_scores.shape == (0,)
    assert scores.anomaly_maps.shape == (0, 96, 96)


def test_backbone_is_the_encoder(fitted: NSADetector) -> None:
    pixels = torch.zeros(1, 3, 96, 96, dtype=torch.uint8)
    assert fitted.backbone is fitted.network_.encoder
    assert fitted.backbone(pixels).shape == (1, 512, 3, 3)


def test_cost_counts_encoder_and_decoder_apart(fitted: NSADetector, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    size = detector_size(fitted, tmp_path)
    assert size.total_parameters == 11_497_712
    assert size.backbone_parameters == 11_176_512
    assert size.stored_values > 0


def test_textures_are_seen_whole() -> None:
    detector = NSADetector(small_settings(training={"epochs": 1})).fit(
        training_data("texture"), seeded()
    )
    scores = detector.score(ArrayImages(good_images("texture", 2)))
    assert detector.kind_ == "texture"
    assert (scores.anomaly_maps > 0).all()
    np.testing.assert_allclose(scores.image_scores, scores.anomaly_maps.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_fits_and_the_seed_decides(method: str) -> None:
    settings = small_settings(method, training={"epochs": 1})
    one, two, other = (
        NSADetector(settings).fit(training_data("object"), seeded(seed)) for seed in (1, 1, 2)
    )
    assert same_weights(one.network_, two.network_)
    assert not same_weights(one.network_, other.network_)


@pytest.mark.parametrize("source", ["fly", "bank"])
def test_labels_in_grey_levels_give_maps_in_grey_levels(source: str) -> None:
    settings = small_settings(
        label="intensity", anomalies={"source": source}, training={"epochs": 1}
    )
    good = good_images("object", 6)
    spoiled, mask = scratched(good)
    negatives = SyntheticAnomalies(ArrayImages(spoiled), lambda _: mask, ((),) * 6, tuple(range(6)))
    data = replace(training_data("object"), anomalies=negatives)
    detector = NSADetector(settings).fit(data, seeded())
    assert detector.history_[0]["loss"] > 1
    assert (detector.score(ArrayImages(good)).anomaly_maps >= 0).all()


def test_without_a_category_the_images_decide_on_the_kind() -> None:
    settings = small_settings(training={"epochs": 1})
    data = TrainingData(ArrayImages(good_images("object", 6)))
    assert NSADetector(settings).fit(data, seeded()).kind_ == "object"


@pytest.mark.parametrize(
    ("changes", "data", "complaint"),
    [
        ({}, TrainingData(ArrayImages([])), "no good images"),
        (
            {},
            TrainingData(ArrayImages(good_images("object", 1)), category=category("object")),
            "another good image",
        ),
        ({"anomalies": {"source": "bank"}}, training_data("object"), "run the synthesize stage"),
    ],
    ids=["none", "one", "no-bank"],
)
def test_too_little_to_learn_from_is_refused(
    changes: dict[str, Any], data: TrainingData, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        NSADetector(small_settings(**changes)).fit(data, seeded())


def test_a_single_image_is_enough_for_cutpaste() -> None:
    data = TrainingData(ArrayImages(good_images("object", 1)), category=category("object"))
    settings = small_settings("cutpaste", training={"epochs": 1})
    assert len(NSADetector(settings).fit(data, seeded()).history_) == 1


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(
    killed_at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small_settings()
    unbroken, broken, resumed = (build_network(seeded()) for _ in range(3))
    history = train(unbroken, task(settings), settings)
    loss = training.Steps.loss

    def killed(self: training.Steps, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        if step == killed_at * self.per_epoch + 1:
            raise KeyboardInterrupt
        return loss(self, step)

    monkeypatch.setattr(training.Steps, "loss", killed)
    with pytest.raises(KeyboardInterrupt):
        train(broken, task(settings), settings, Workspace(tmp_path / "checkpoint"))
    monkeypatch.undo()
    monkeypatch.setenv("CLFLOW_WORKERS", "0")
    assert train(resumed, task(settings), settings, Workspace(tmp_path / "checkpoint")) == history
    assert same_weights(unbroken, resumed)
    assert not same_weights(unbroken, broken)
    again = build_network(seeded(1))
    assert train(again, task(settings), settings, Workspace(tmp_path / "checkpoint")) == history
    assert same_weights(again, unbroken)


def test_checkpoints_are_written_when_they_are_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(loop, "save_checkpoint", lambda *arguments: written.append(arguments[3]))
    settings = small_settings(training={"checkpoint_every": 2})
    train(build_network(seeded()), task(settings), settings, Workspace(tmp_path / "checkpoint"))
    per_epoch = written[-1] // 3
    assert per_epoch > 1
    assert written == [2 * per_epoch, 3 * per_epoch]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_parameters_stay_float32(precision: str) -> None:
    settings = small_settings(precision=precision)
    network = build_network(seeded())
    train(network, task(settings, epochs=1), settings)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_not_a_number_stops_with_the_epoch() -> None:
    network = build_network(seeded())
    torch.nn.init.constant_(network.decoder.head.weight, float("nan"))
    with pytest.raises(TrainingError, match="diverged at step 0: loss nan"):
        train(network, task(small_settings()), small_settings())


def test_divergence_stops_with_the_epoch() -> None:
    settings = small_settings(
        label="intensity", training={"learning_rate": 50.0, "divergence_factor": 2.0}
    )
    with pytest.raises(TrainingError, match=r"diverged at step \d+: loss"):
        train(build_network(seeded()), task(settings, epochs=10), settings)


def test_workspace_keeps_the_checkpoint(tmp_path: Path) -> None:
    workspace = Workspace(checkpoint=tmp_path / "checkpoint.safetensors")
    settings = small_settings(training={"epochs": 1})
    first = NSADetector(settings).fit(training_data("object"), seeded(), workspace)
    again = NSADetector(settings).fit(training_data("object"), seeded(), workspace)
    assert same_weights(first.network_, again.network_)
    assert workspace.checkpoint is not None
    assert workspace.checkpoint.is_file()
