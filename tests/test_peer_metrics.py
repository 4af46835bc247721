"""Values against those of anomalib, which is no dependency: skipped where it does not import."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scored_maps import ranked

from clflow.features.torchvision_shim import ensure_torchvision
from clflow.metrics.pixel import AUPRO_LIMITS, aupro_name

ROOT = Path(__file__).parents[1]
CATEGORY = ROOT.parent / "shared/data/mvtec_ad/bottle"
SIDE = 256

ensure_torchvision()
pytest.importorskip("anomalib.metrics", reason="anomalib is not installed")
sys.path.append(str(ROOT / "benchmarks"))

import bench_aupro as bench  # noqa: E402

Image = bench.Image


def speckled(seed: int, count: int, levels: int) -> list[Image]:
    """Return maps of `levels` scores with defects of all shapes that score somewhat higher."""
    rng = np.random.default_rng(seed)
    images: list[Image] = []
    for index in range(count):
        mask = rng.random((64, 64)) < 0.02 * (index % 3)
        scores = rng.integers(0, levels, size=mask.shape) + mask * levels / 3
        images.append((scores.round().astype(np.float32), mask))
    return images


def blobs(seed: int) -> list[Image]:
    """Return 25 good maps and 6 with a defect.

    Ten of the million good pixels are the lower bound. The scores fall off exponentially, so that
    even steps sample them well.
    """
    rng = np.random.default_rng(seed)
    images: list[Image] = [
        (rng.exponential(size=(200, 200)).astype(np.float32), None) for _ in range(25)
    ]
    for index in range(6):
        mask = np.zeros((200, 200), bool)
        mask[20 : 60 + 9 * index, 30:90] = True
        scores = rng.exponential(size=mask.shape) + mask * rng.uniform(0, 3 * index, mask.shape)
        images.append((scores.astype(np.float32), mask))
    return images


@pytest.fixture(scope="module")
def bottle() -> list[Image]:
    if not CATEGORY.is_dir():
        pytest.skip("the category bottle of MVTec AD is not there")
    return bench.mean_image_maps(CATEGORY, SIDE)


def assert_same_aupro(images: list[Image]) -> None:
    ours, batch = bench.clflow_metrics(images), bench.anomalib_batch(images)
    for limit in AUPRO_LIMITS:
        assert ours[aupro_name(limit)] == pytest.approx(
            bench.anomalib_aupro(batch, limit), abs=1e-6
        )


@pytest.mark.parametrize("levels", [2, 20, 1000, 2**22])
@pytest.mark.parametrize("seed", range(5))
def test_aupro_equals_anomalibs_on_random_maps(seed: int, levels: int) -> None:
    assert_same_aupro(speckled(seed, count=9, levels=levels))


def test_aupro_equals_anomalibs_on_smooth_maps_of_photographs(bottle: list[Image]) -> None:
    assert_same_aupro(bottle)


def test_aupimo_is_what_anomalibs_samples_come_near_to() -> None:
    images = blobs(seed=0)
    exact, batch = bench.clflow_aupimo(images), bench.anomalib_batch(images)
    errors = [
        np.nanmax(np.abs(bench.anomalib_aupimo(batch, thresholds) - exact))
        for thresholds in (600, 6_000, 60_000)
    ]
    assert np.isnan(exact).tolist() == [True] * 25 + [False] * 6
    assert np.ptp(exact[25:]) > 0.3
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-3


def test_aupimo_of_photographs_is_near_anomalibs_where_samples_are_even(
    bottle: list[Image],
) -> None:
    """Ranks put the samples of anomalib where the good scores are; exact values do not change."""
    images = [(m, np.zeros(m.shape, bool) if k is None else k) for m, k in bottle]
    exact = bench.clflow_aupimo(images)
    assert bench.clflow_aupimo(ranked(images)) == pytest.approx(exact, abs=1e-12, nan_ok=True)
    theirs = bench.anomalib_aupimo(bench.anomalib_batch(images), thresholds=60_000)
    assert theirs == pytest.approx(exact, abs=0.02, nan_ok=True)
