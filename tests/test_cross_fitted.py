"""Scores of the images that a detector was fitted on, by statistics that have not seen them."""

import numpy as np
import pytest
import torch
from flow_cases import grain, seeded
from fyd_cases import WHOLE, parts_data, small
from hypothesis import given, settings
from hypothesis import strategies as st

from clflow.data.images import ArrayImages, ImageSource
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.folds import split
from clflow.detectors.nsa.detector import NSADetector
from clflow.detectors.protocol import CrossFitted
from clflow.errors import DataError, NotFittedError, SettingsError
from clflow.synthesis.training_data import TrainingData

COUNT = 9


def chosen(images: ImageSource, rows: torch.Tensor) -> ArrayImages:
    return ArrayImages([images[index] for index in rows.tolist()])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(2, n))))
def test_every_image_is_in_one_fold_and_not_among_the_others(sizes: tuple[int, int]) -> None:
    count, folds = sizes
    seen: list[int] = []
    for others, rows in split(count, folds, 3):
        assert sorted([*others.tolist(), *rows.tolist()]) == list(range(count))
        seen += rows.tolist()
    assert sorted(seen) == list(range(count))


def test_padim_scores_each_fold_as_a_detector_that_was_fitted_without_it() -> None:
    images = ArrayImages(grain(COUNT, 0))
    detector = small("padim").fit(TrainingData(images), seeded())
    found = detector.cross_fitted(images, folds=3)
    for others, rows in split(COUNT, 3, detector.seed_):
        without = small("padim").fit(TrainingData(chosen(images, others)), seeded())
        expected = without.score(chosen(images, rows))
        np.testing.assert_allclose(found.image_scores[rows], expected.image_scores, rtol=1e-5)
        np.testing.assert_allclose(found.anomaly_maps[rows], expected.anomaly_maps, rtol=1e-4)


@pytest.mark.parametrize("method", ["padim", "fyd"])
def test_maps_lie_over_the_images_as_they_came_and_the_detector_stays_as_it_was(
    method: str,
) -> None:
    turned = {"image_alignment": {"kind": "registration", "decide": False}}
    data = parts_data(COUNT)
    detector = small(method, fine_alignment={"enabled": False}, **turned)
    before = detector.fit(data, seeded()).score(data.good)
    found = detector.cross_fitted(data.good, folds=3)
    assert isinstance(detector, CrossFitted)
    assert found.anomaly_maps.shape == before.anomaly_maps.shape
    assert (found.anomaly_maps.dtype, found.image_scores.dtype) == (np.float32, np.float32)
    assert (found.image_scores > before.image_scores).all()
    again = detector.score(data.good)
    np.testing.assert_array_equal(again.image_scores, before.image_scores)


def test_stages_that_were_trained_on_the_images_know_them() -> None:
    data = parts_data(COUNT)
    detector = small("fyd", **WHOLE).fit(data, seeded())
    with pytest.raises(SettingsError, match="hold images out"):
        detector.cross_fitted(data.good, folds=3)


@pytest.mark.parametrize("folds", [0, 1, COUNT + 1])
def test_folds_that_cannot_be_are_named(folds: int) -> None:
    images = ArrayImages(grain(COUNT, 0))
    detector = small("padim").fit(TrainingData(images), seeded())
    with pytest.raises(DataError, match=f"9 images cannot make {folds} folds"):
        detector.cross_fitted(images, folds=folds)


def test_what_is_not_fitted_has_no_scores() -> None:
    with pytest.raises(NotFittedError):
        small("padim").cross_fitted(ArrayImages(grain(4, 0)))


def test_detectors_that_train_a_network_are_not_cross_fitted() -> None:
    for detector in (NSADetector, FlowDetector):
        assert not issubclass(detector, CrossFitted)
