"""The flow detector from images to scores."""

from pathlib import Path

import numpy as np
import pytest
from flow_cases import grain, seeded, small_settings, spotted, training_data
from safetensors.torch import load_file, save_file

from clflow.data.images import ArrayImages
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.protocol import Workspace
from clflow.detectors.registry import find_method
from clflow.errors import DataError, SettingsError
from clflow.pipeline.train import load_run

METHODS = ["fastflow", "clflow_paper", "clflow"]
TEST = ArrayImages(grain(4, 9) + spotted(grain(4, 10))[0])


@pytest.mark.parametrize("method", METHODS)
def test_fit_score_save_load(method: str, tmp_path: Path) -> None:
    workspace = Workspace(features=tmp_path / "features")
    detector = FlowDetector(small_settings(method)).fit(training_data(), seeded(), workspace)
    scores = detector.score(TEST)
    assert scores.image_scores.shape == (8,)
    assert scores.anomaly_maps.shape == (8, 64, 64)
    assert scores.image_scores[:4].max() < scores.image_scores[4:].min()
    detector.save(tmp_path / "model")
    loaded = FlowDetector.load(tmp_path / "model").score(TEST, workspace)
    np.testing.assert_array_equal(loaded.image_scores, scores.image_scores)
    np.testing.assert_array_equal(loaded.anomaly_maps, scores.anomaly_maps)
    assert {path.suffix for path in (tmp_path / "model").iterdir()} == {".safetensors", ".json"}


def test_same_generator_seed_gives_the_same_scores() -> None:
    one, two, other = (
        FlowDetector(small_settings("clflow")).fit(training_data(), seeded(seed)).score(TEST)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.image_scores, two.image_scores)
    assert not np.array_equal(one.image_scores, other.image_scores)


def test_the_defect_is_where_the_map_is_highest() -> None:
    detector = FlowDetector(small_settings("clflow")).fit(training_data(), seeded())
    row, column = np.unravel_index(detector.score(TEST).anomaly_maps[5].argmax(), (64, 64))
    assert 16 <= row < 44
    assert 20 <= column < 48


def test_scores_do_not_depend_on_the_other_images() -> None:
    detector = FlowDetector(small_settings("clflow")).fit(training_data(), seeded())
    alone = detector.score(ArrayImages([TEST[6]])).image_scores
    np.testing.assert_allclose(alone, detector.score(TEST).image_scores[6:7], rtol=1e-4)


def test_no_images_give_no_scores() -> None:
    detector = FlowDetector(small_settings("fastflow")).fit(training_data(), seeded())
    scores = detector.score(ArrayImages([]))
    assert scores.anomaly_maps.shape == (0, 64, 64)


@pytest.mark.parametrize("method", ["clflow", "clflow_paper"])
def test_methods_that_need_anomalies_say_so(method: str) -> None:
    with pytest.raises(DataError, match="synthetic anomalies and none were given"):
        FlowDetector(small_settings(method)).fit(training_data(with_negatives=False), seeded())


def test_fastflow_needs_no_anomalies() -> None:
    data = training_data(with_negatives=False)
    with_them = FlowDetector(small_settings("fastflow")).fit(training_data(), seeded())
    without = FlowDetector(small_settings("fastflow")).fit(data, seeded())
    np.testing.assert_array_equal(
        with_them.score(TEST).image_scores, without.score(TEST).image_scores
    )


def test_model_of_another_version_is_one_clear_error(tmp_path: Path) -> None:
    FlowDetector(small_settings("fastflow")).fit(training_data(), seeded()).save(tmp_path)
    path = tmp_path / "model.safetensors"
    tensors = load_file(path)
    tensors["older"] = tensors.pop("density.0.slope")
    save_file(tensors, path)
    with pytest.raises(DataError, match=r"cannot be read \(.*density.0.slope.*another version"):
        load_run(find_method("fastflow"), tmp_path)


def test_loading_with_another_backbone_is_refused(tmp_path: Path) -> None:
    detector = FlowDetector(small_settings("fastflow")).fit(training_data(), seeded())
    detector.save(tmp_path)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace(detector.store.fingerprint, "0" * 64))
    with pytest.raises(SettingsError, match="differ from those it was trained with"):
        FlowDetector.load(tmp_path)
