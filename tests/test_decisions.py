"""Regions, regions of interest, calibrations: what decides, without a detector."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from scipy.stats import ks_2samp

from clflow.data.images import ArrayImages, write_png
from clflow.data.region_of_interest import PaintedImages, RegionOfInterest, own_map, seen
from clflow.decision.calibration import Calibration, Rates, shift_of
from clflow.decision.prediction import Judge, to_frame
from clflow.decision.regions import find_regions, region_mask
from clflow.errors import DataError, SettingsError

MAPS = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.integers(0, 4).map(float),
)
SCORES = st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=30)
EVERYWHERE = np.ones((3, 3), int)


@settings(deadline=None)
@given(MAPS, st.integers(0, 4), st.integers(1, 4))
def test_regions_are_the_connected_components(
    found: np.ndarray, threshold: int, least: int
) -> None:
    regions = find_regions(found, float(threshold), least)
    labels, count = ndimage.label(found > threshold, EVERYWHERE)
    expected = set()
    for index in range(1, count + 1):
        rows, columns = np.nonzero(labels == index)
        box = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        if len(rows) >= least:
            expected.add((*map(int, box), len(rows), float(found[rows, columns].max())))
            mean = next(each.mean for each in regions if each.box == tuple(map(int, box)))
            assert mean == pytest.approx(found[rows, columns].mean())
    assert {(*each.box, each.area, each.peak) for each in regions} == expected
    assert [each.peak for each in regions] == sorted((each.peak for each in regions), reverse=True)
    for each in regions:
        assert found[each.peak_y, each.peak_x] == each.peak
        assert each.x <= each.peak_x < each.x + each.width
    assert region_mask(found, float(threshold), least).sum() == sum(each.area for each in regions)


@settings(deadline=None)
@given(SCORES, st.floats(-6, 6, width=32), st.sampled_from([0.01, 0.05, 0.2, 0.5]))
def test_a_decision_never_has_a_higher_rate_than_is_promised(
    good: list[float], score: float, rate: float
) -> None:
    found = Calibration.of(good, good, Rates(image=rate))
    if found.decide(score) == "anomalous":
        assert found.false_alarm_rates([score])[0] <= found.image.rate + 1e-12
    # none that the threshold rests on is called anomalous beyond what is allowed
    flagged = sum(found.decide(each) == "anomalous" for each in good)
    assert flagged <= round(found.image.rate * (len(good) + 1)) - 1


@settings(deadline=None)
@given(SCORES, SCORES)
def test_a_calibration_is_read_back_as_it_was(good: list[float], before: list[float]) -> None:
    first = Calibration.of(good, good, Rates(0.1, 0.3, 0.2), before, floor=0.25, synthetic=good)
    again = Calibration.from_dict(first.as_dict())
    assert again.as_dict() == first.as_dict()
    assert again.image == first.image
    shift, expected = shift_of(again), ks_2samp(before, good)
    assert (shift.distance, shift.p_value) == (expected.statistic, expected.pvalue)


def test_a_review_band_lies_between_good_and_anomalous() -> None:
    found = Calibration.of(np.arange(199.0), np.arange(199.0), Rates(image=0.01, review=0.05))
    assert [found.decide(score) for score in (100, 189.1, 192, 199)] == [
        "good",
        "good",
        "review",
        "anomalous",
    ]
    assert found.remarks() == ()


def test_what_few_images_cannot_promise_is_said() -> None:
    found = Calibration.of(np.arange(8.0), np.arange(8.0), Rates(image=0.01))
    assert found.image.rate == pytest.approx(1 / 9)
    assert found.remarks()[0] == (
        "false-alarm rate 0.01 cannot be promised by 8 held-out good image(s): the least is 0.111, "
        "which is used; 99 are needed"
    )


@pytest.mark.parametrize(
    ("rates", "complaint"),
    [
        ({"image": 0}, "false-alarm rate 0"),
        ({"image": 1.5}, "false-alarm rate 1.5"),
        ({"image": 0.05, "review": 0.01}, "must be higher"),
        ({"region": True}, "false-alarm rate True"),
    ],
)
def test_a_rate_that_is_none_is_named(rates: dict[str, float], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        Rates(**rates)


@pytest.mark.parametrize(
    ("scores", "peaks", "complaint"),
    [([], [], "0 scores"), ([1.0], [], "1 scores and 0 maps"), ([np.nan], [1.0], "NaN")],
)
def test_scores_that_say_nothing_are_refused(
    scores: list[float], peaks: list[float], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        Calibration.of(scores, peaks)


@settings(deadline=None)
@given(st.integers(4, 20), st.integers(4, 20), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_what_is_ignored_cannot_be_seen(height: int, width: int, border: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    mask = generator.random((6, 7)) < 0.3
    region = RegionOfInterest.read(mask, border)
    image, other = generator.integers(0, 256, (2, height, width, 3), np.uint8)
    if region is None:
        assert border == 0
        assert not mask.any()
        return
    if border * 2 >= min(height, width) or region_covers(region, height, width):
        return
    ignored = region.at(height, width)
    mixed = np.where(ignored[..., None], other, image)
    np.testing.assert_array_equal(region.painted(image), region.painted(mixed))
    found = generator.random((height, width)).astype(np.float32)
    lowered = region.lowered(found)
    np.testing.assert_array_equal(lowered[~ignored], found[~ignored])
    assert (lowered[ignored] == found[~ignored].min()).all()
    assert find_regions(lowered, float(found[~ignored].max())) == ()


def region_covers(region: RegionOfInterest, height: int, width: int) -> bool:
    try:
        region.at(height, width)
    except DataError:
        return True
    return False


def test_a_region_of_interest_is_read_from_a_file(tmp_path: Path) -> None:
    mask = np.zeros((10, 20), bool)
    mask[:, :5] = True
    write_png(tmp_path / "mask.png", mask)
    region = RegionOfInterest.read(tmp_path / "mask.png", 1)
    assert region is not None
    ignored = region.at(20, 40)
    assert ignored[:, :10].all()
    assert not ignored[1:-1, 10:-1].any()
    assert ignored[0].all()
    images = ArrayImages([np.zeros((20, 40, 3), np.uint8)])
    painted = seen(images, region)
    assert isinstance(painted, PaintedImages)
    assert painted.digests != images.digests
    assert (painted[0][ignored] == 128).all()
    assert seen(images, None) is images
    assert own_map(np.ones((4, 4), np.float32), (40, 20), region).shape == (20, 40)


@pytest.mark.parametrize(
    ("mask", "border", "complaint"),
    [
        (np.ones((4, 4), bool), 0, "did you mean it inverted"),
        (None, -1, "border is -1"),
        (None, True, "border is True"),
    ],
)
def test_a_region_that_leaves_nothing_is_refused(
    mask: np.ndarray | None, border: int, complaint: str
) -> None:
    with pytest.raises((DataError, SettingsError), match=complaint):
        RegionOfInterest.read(mask, border)


def test_a_border_wider_than_an_image_is_named() -> None:
    region = RegionOfInterest.read(None, 4)
    assert region is not None
    with pytest.raises(DataError, match="8x8 pixels is left"):
        region.at(8, 8)


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((100, 50), ()),
        ((101, 50), ()),
        ((50, 100), ("size 50x100, trained on 100x50",)),
        ((300, 150), ("size 300x150, trained on 100x50",)),
    ],
)
def test_an_image_of_another_camera_is_flagged(size: tuple[int, int], said: tuple[str]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    judge = Judge(sizes=((100, 50),))
    assert judge.remarks(image) == said
    image[:] = 7
    assert judge.remarks(image)[-1] == "constant image, all its pixels are alike"


def test_predictions_become_a_table() -> None:
    calibration = Calibration.of([1.0, 2.0], [1.0, 2.0], Rates(image=0.4))
    image, found = np.zeros((4, 4, 3), np.uint8), np.full((2, 2), 9, np.float32)
    judge = Judge(calibration)
    table = to_frame(
        [judge.prediction(image, 9.0, found, "a.png"), judge.prediction(image, 0, found)]
    )
    assert table["decision"].tolist() == ["anomalous", "good"]
    assert table["path"].isna().tolist() == [False, True]
    assert table["regions"][0][0]["area"] == 16
    assert Judge().prediction(image, 1.0, found).is_anomalous is None
