"""NSA on chest X-rays: the published settings (rCXR), and patches drawn with them."""

import numpy as np
import pytest
from nsa_images import Image, textured

from clflow.synthesis.background import decide, object_mask
from clflow.synthesis.nsa import NSA, NSASettings
from clflow.synthesis.patch import Scene, sample_patch
from clflow.synthesis.settings import SynthesizeSettings

SIDE = 200


def chest_settings(sex: str = "female") -> NSASettings:
    settings = SynthesizeSettings()
    return NSA().resolve(decide("rcxr", sex, settings, []), settings)


def chest(seed: int) -> Image:
    """Return a grey image: a bright body from border to border below a black ground."""
    grey = textured(SIDE, SIDE, seed)[..., :1] // 2 + 90
    grey[: SIDE // 5] = 3
    return np.repeat(grey, 3, axis=2)


@pytest.mark.parametrize("sex", ["male", "female"])
def test_settings_are_the_published_ones(sex: str) -> None:
    """Gamma (2, 0.03, 0.05) is shape, scale and offset; the resizing is that of objects."""
    assert chest_settings(sex) == NSASettings(
        height_bounds=(0.03, 0.4),
        width_bounds=(0.03, 0.4),
        patches=3,
        resize_bounds=(0.7, 1.3),
        clone="mixed",
        shape="rectangle",
        source="other",
        in_place=False,
        factor_bounds=(1.0, 1.0),
        background=(0.0, 20.0),
        minimum_object=0.7,
        minimum_overlap=0.7,
        label="logistic",
        logistic_k=0.5,
        logistic_x0=4.0,
        gamma_shape=2.0,
        gamma_scale=0.03,
        gamma_offset=0.05,
        tolerance=1.0,
        despeckle=True,
    )


def test_half_widths_are_half_of_a_gamma_with_the_published_numbers() -> None:
    """Half-width (0.05 + Gamma(2, 0.03)) of the side, cut to 3 to 40 %: the mean is known."""
    settings = chest_settings().model_copy(update={"resize_bounds": None, "background": None})
    scene = Scene(chest(0), chest(1), None, None)
    rng, expected_rng = np.random.default_rng(0), np.random.default_rng(1)
    sizes, expected = [], []
    for _ in range(2000):
        patch = sample_patch(scene, settings, rng)
        assert patch is not None
        sizes.append(patch.region.shape)
        half = (0.05 + expected_rng.gamma(2, 0.03, 2)) * SIDE
        half = half.clip(0.03 * SIDE, 0.4 * SIDE).astype(int)
        centre = expected_rng.integers(6, SIDE - 6, 2)
        expected.append(np.minimum(SIDE, centre + half) - np.maximum(0, centre - half))
    error = np.std(expected) * np.sqrt(2 / len(expected))
    np.testing.assert_allclose(np.mean(sizes, axis=0), np.mean(expected, axis=0), atol=4 * error)
    # an offset of 5 % leaves no half-width below 10 px; only the border cuts patches off further
    assert np.percentile(sizes, 10) >= 20


def test_patches_lie_on_the_body_of_both_images() -> None:
    settings, images = chest_settings(), (chest(0), chest(1))
    masks = [object_mask(image, 0, 20) for image in images]
    assert masks[0][SIDE // 5 + 5 :].all()
    assert not masks[0][: SIDE // 5 - 5].any()
    scene = Scene(*images, *masks)
    found = [sample_patch(scene, settings, np.random.default_rng(seed)) for seed in range(60)]
    assert sum(patch is not None for patch in found) > 50
    for patch in found:
        if patch is None:
            continue
        x0, y0, x1, y1 = patch.taken
        assert masks[1][y0:y1, x0:x1].mean() > 0.7
        assert max(patch.region.shape) <= 0.4 * SIDE
        assert min(patch.region.shape) >= 0.03 * SIDE
        assert masks[0][patch.window].mean() > 0.7 * 0.7


def test_anomalies_are_grey_and_labelled_by_their_change() -> None:
    """A grey image changes by whole levels d: its labels are 1 / (1 + exp(-(d - 4) / 2))."""
    allowed = 1 / (1 + np.exp(-(np.arange(256) - 4) / 2))
    assert allowed[[0, 4, 8]] == pytest.approx([0.1192, 0.5, 0.8808], abs=1e-4)
    found = [
        NSA().generate(chest(0), chest(1), chest_settings(), np.random.default_rng(seed))
        for seed in range(10)
    ]
    anomalies = [anomaly for anomaly in found if anomaly is not None]
    assert len(anomalies) > 5
    for anomaly in anomalies:
        assert (anomaly.image == anomaly.image[..., :1]).all()
        assert len(anomaly.patches) <= 3
        labels = np.unique(anomaly.label[anomaly.mask])
        assert np.abs(labels[:, None] - allowed).min(axis=1).max() < 1e-6
        assert len(labels) > 1
