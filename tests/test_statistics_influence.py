"""The paired test by influences, beside DeLong's and where there is nothing to test."""

import math

import numpy as np
import pytest

from clflow.statistics.delong import Influenced, Placements, influence_test, paired_test, placements


def influenced(parts: Placements) -> Influenced:
    """Return what one image more or less does to the AUROC, good images first."""
    good = (parts.good - parts.auroc) / len(parts.good)
    anomalous = (parts.anomalous - parts.auroc) / len(parts.anomalous)
    return Influenced(parts.auroc, np.concatenate([good, anomalous]))


def test_of_image_auroc_it_is_delongs() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], [30, 20])
    parts = [placements(labels, rng.normal(size=50) + gap * labels) for gap in (1.0, 0.3)]
    found = influence_test(labels == 1, *map(influenced, parts))
    expected = paired_test(*parts)
    assert (found.difference, found.statistic, found.p) == pytest.approx(
        (expected.difference, expected.statistic, expected.p)
    )


def test_a_method_does_not_differ_from_itself() -> None:
    own = Influenced(0.7, np.array([0.1, -0.1, 0.2, -0.2]))
    found = influence_test(np.array([False, False, True, True]), own, own)
    assert (found.difference, found.p) == (0.0, 1.0)


@pytest.mark.parametrize("anomalous", [[False, True, True], [False, False, True], [], [True] * 3])
def test_with_fewer_than_two_images_of_a_class_there_is_no_p(anomalous: list[bool]) -> None:
    moves = np.arange(len(anomalous), dtype=float)
    found = influence_test(
        np.array(anomalous, bool), Influenced(0.9, moves), Influenced(0.8, -moves)
    )
    assert math.isnan(found.p)
