"""Patches: sizes within the bounds, taken from and put on the object."""

import numpy as np
import pytest
from hypothesis import given
from nsa_images import BACKGROUND, OBJECT, few, on_plain_ground, seeds, sides

from clflow.synthesis.background import object_mask
from clflow.synthesis.patch import Scene, sample_patch


@pytest.mark.parametrize(
    ("tall", "wide"),
    [
        pytest.param((0.05, 0.2), (0.05, 0.3), id="loose"),
        pytest.param((0.05, 0.1), (0.25, 0.3), id="wide"),
        pytest.param((0.25, 0.3), (0.05, 0.1), id="tall"),
    ],
)
@given(seed=seeds, height=sides, width=sides)
@few
def test_patch_obeys_bounds_and_object_rules(
    tall: tuple[float, float], wide: tuple[float, float], seed: int, height: int, width: int
) -> None:
    chosen = OBJECT.model_copy(
        update={"height_bounds": tall, "width_bounds": wide, "minimum_object": 0.5}
    )
    destination, source = on_plain_ground(height, width, seed), on_plain_ground(height, width, 1)
    masks = [object_mask(image, *BACKGROUND) for image in (destination, source)]
    rng = np.random.default_rng(seed)
    patch = sample_patch(Scene(destination, source, masks[0], masks[1]), chosen, rng)
    if patch is None:
        return
    x0, y0, x1, y1 = patch.taken
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert masks[1][y0:y1, x0:x1].mean() > 0.5
    # NSA bounds the full sides of a resized patch by the half-width bounds
    rows, columns = patch.region.shape
    assert round(tall[0] * height) <= rows <= round(tall[1] * height)
    assert round(wide[0] * width) <= columns <= round(wide[1] * width)
    assert patch.shape.all()
    assert patch.region[masks[0][patch.window]].all()
    assert patch.region.mean() > 0.5


def test_tries_go_on_until_the_source_box_is_on_the_object() -> None:
    source = np.full((90, 90, 3), 200, np.uint8)
    source[40:80, 40:80] = 20
    chosen = OBJECT.model_copy(update={"minimum_object": 0.9, "height_bounds": (0.05, 0.1)})
    mask = object_mask(source, *BACKGROUND)
    scene = Scene(source, source, mask, mask)
    chosen = chosen.model_copy(update={"width_bounds": (0.05, 0.1), "minimum_overlap": 0.0})
    found = [sample_patch(scene, chosen, np.random.default_rng(seed)) for seed in range(40)]
    assert sum(patch is not None for patch in found) >= 36
