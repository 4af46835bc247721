"""What is decided for a category before training: kind, generator, epochs, rotation, views."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nsa_detector_cases import METHODS, category, good_images, small_settings, stacked
from pydantic import ValidationError

from clflow.detectors.nsa.plan import MOST_IMAGES_SHOWN, class_table, make_plan
from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.detectors.nsa.views import View, Views, central, framed, scored_side, training_views
from clflow.detectors.registry import find_method
from clflow.synthesis import background as categories
from clflow.synthesis.background import decide
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import Category

FEW = np.zeros((4, 32, 32, 3), np.uint8)
AUTO = {"epochs": "auto"}


def listed(dataset: str, name: str) -> Category:
    synthesize = SynthesizeSettings()
    return Category(dataset, name, decide(dataset, name, synthesize, ()), synthesize)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"crop": {"object": 96}}, "sides must rise"),
        ({"crop": {"object_window": 100}}, "sides must rise"),
        ({"crop": {"texture_size": 90}}, "sides must rise"),
        ({"crop": {"object": 65}}, "multiple of 32"),
        ({"label": "logistik"}, "Input should be"),
        ({"label": "continuous", "anomalies": {"source": "bank"}}, "does not keep the weight"),
        ({"anomalies": {"generator": "perlin"}}, "Input should be"),
        ({"anomalies": {"nsa": {"in_place": True}}}, "set resize_bounds to none"),
        ({"training": {"epochs": 0}}, "greater than or equal to 1"),
        ({"training": {"epochs": "many"}}, "Input should be 'auto'"),
        ({"training": {"percent": 0}}, "greater than or equal to 1"),
        ({"precision": "float16"}, "Input should be"),
        ({"backbone": {}}, "Extra inputs"),
    ],
)
def test_settings_refuse(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        small_settings(**changes)


def test_classes_are_those_that_have_settings_of_the_generator() -> None:
    generator = categories.class_table()["classes"]
    table = class_table()
    assert {name: set(rows) for name, rows in table.items()} == {
        name: set(generator[name]) for name in ("mvtec_ad", "rcxr")
    }


@pytest.mark.parametrize(
    ("dataset", "name", "kind", "clone", "epochs", "rotation"),
    [
        ("mvtec_ad", "bottle", "object", "normal", 320, 5),
        ("mvtec_ad", "screw", "object", "normal", 560, 5),
        ("mvtec_ad", "pill", "object", "normal", 320, 0),
        ("mvtec_ad", "carpet", "texture", "mixed", 320, 0),
        ("rcxr", "female", "object", "mixed", 240, 3),
    ],
)
def test_a_class_of_the_authors_has_their_settings(
    dataset: str, name: str, kind: str, clone: str, epochs: int, rotation: float
) -> None:
    plan = make_plan(listed(dataset, name), FEW, small_settings(training=AUTO))
    assert (plan.kind, plan.epochs, plan.rotation) == (kind, epochs, rotation)
    assert plan.member.settings.clone == clone
    assert plan.member.settings.label == "logistic"
    assert "the authors'" in plan.reason


@pytest.mark.parametrize(("kind", "clone"), [("object", "normal"), ("texture", "mixed")])
def test_the_decision_reaches_the_generator(kind: Any, clone: str) -> None:
    plan = make_plan(category(kind), FEW, small_settings())
    assert plan.kind == kind
    assert plan.member.settings.clone == clone
    assert (plan.member.settings.background is None) == (kind == "texture")


@pytest.mark.parametrize(("images", "epochs"), [(4, 320), (1000, 320), (4000, 118), (500_000, 1)])
def test_an_unknown_category_is_trained_as_long_as_the_authors_longest(
    images: int, epochs: int
) -> None:
    pixels = np.zeros((images, 1, 1, 3), np.uint8)
    plan = make_plan(category("texture"), pixels, small_settings(training=AUTO))
    assert plan.epochs == epochs
    assert plan.rotation == 0
    assert epochs in (320, 1) or epochs * images <= MOST_IMAGES_SHOWN


@pytest.mark.parametrize(
    ("training", "epochs"),
    [
        ({"epochs": 10}, 10),
        ({"epochs": 10, "percent": 20}, 2),
        ({"epochs": 10, "percent": 1}, 1),
        ({"epochs": "auto", "percent": 25}, 140),
    ],
)
def test_epochs_may_be_set_and_shortened(training: dict[str, Any], epochs: int) -> None:
    plan = make_plan(listed("mvtec_ad", "screw"), FEW, small_settings(training=training))
    assert plan.epochs == epochs


@pytest.mark.parametrize(("fraction", "percent"), [(1.0, 100), (0.2, 20), (0.0001, 1)])
def test_a_shortened_study_trains_a_part_of_the_epochs(fraction: float, percent: int) -> None:
    method = find_method("nsa")
    shortened = method.shortened(method.complete({}), fraction)
    chosen = NSADetectorSettings.model_validate(shortened)
    assert chosen.training.percent == percent
    plan = make_plan(listed("mvtec_ad", "bottle"), FEW, chosen)
    assert plan.epochs == round(320 * percent / 100)


def test_other_generators_have_the_settings_of_the_study() -> None:
    known = category("object", cutpaste_scar={"rotation": 7})
    chosen = small_settings("cutpaste", anomalies={"generator": "cutpaste_scar"})
    member = make_plan(known, FEW, chosen).member
    assert (member.generator, member.source) == ("cutpaste_scar", "same")
    assert member.settings.rotation == 7


def test_rotation_may_be_set() -> None:
    chosen = small_settings(training={"rotation": 12.5})
    assert make_plan(listed("mvtec_ad", "screw"), FEW, chosen).rotation == 12.5


def test_overrides_of_the_method_lie_over_those_of_the_study() -> None:
    known = category("object", nsa={"patches": 7, "minimum_object": 0.9})
    plan = make_plan(known, FEW, small_settings(anomalies={"nsa": {"patches": 2}}))
    assert plan.member.settings.patches == 2
    assert plan.member.settings.minimum_object == 0.9


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("nsa", {"clone": "normal", "in_place": False, "source": "other", "label": "logistic"}),
        ("fpi", {"clone": "interpolate", "in_place": True, "label": "continuous"}),
        ("pii", {"clone": "mixed", "in_place": True, "label": "continuous"}),
        ("cutpaste", {"clone": "swap", "in_place": False, "source": "same", "label": "binary"}),
    ],
)
def test_methods_differ_as_the_authors_say(method: str, expected: dict[str, Any]) -> None:
    own = make_plan(listed("mvtec_ad", "bottle"), FEW, small_settings(method)).member
    assert {name: getattr(own.settings, name) for name in expected} == expected
    assert (own.settings.resize_bounds is None) == (method != "nsa")
    assert own.settings.background == (200, 60)
    weighted = method in ("fpi", "pii")
    assert own.settings.factor_bounds == ((0.05, 0.95) if weighted else (1, 1))


@pytest.mark.parametrize("kind", ["object", "texture"])
def test_without_a_category_the_images_decide(kind: Any) -> None:
    plan = make_plan(None, stacked(kind, 6), small_settings(training=AUTO))
    assert plan.kind == kind
    assert plan.reason.startswith(f"{kind}: ")
    assert plan.epochs == 320


def drawn(views: Views, seed: int) -> View:
    return views.draw(np.random.default_rng(seed))


@given(
    st.sampled_from(["object", "texture"]), st.sampled_from(["fly", "bank"]), st.integers(0, 9999)
)
@settings(max_examples=100, deadline=None)
def test_crops_lie_inside_the_image(kind: Any, source: str, seed: int) -> None:
    chosen = small_settings(anomalies={"source": source})
    views = training_views(kind, 5.0, chosen)
    view = drawn(views, seed)
    margin = (views.loaded - views.window) // 2
    for start in view.corner:
        assert margin <= start
        assert start + view.side <= views.loaded - margin
    assert view.side == scored_side(kind, chosen)
    seen = view.of(np.zeros((views.loaded, views.loaded, 3), np.uint8))
    assert seen.shape == (view.side, view.side, 3)


@pytest.mark.parametrize(
    ("kind", "source", "loaded", "window", "side"),
    [
        ("object", "fly", 256, 230, 224),
        ("object", "bank", 256, 230, 224),
        ("texture", "fly", 264, 264, 256),
        ("texture", "bank", 256, 256, 256),
    ],
)
def test_crops_are_the_authors(kind: Any, source: str, loaded: int, window: int, side: int) -> None:
    large = {"object_window": 230, "object": 224, "texture_size": 264}
    chosen = small_settings(image_size=256, crop=large, anomalies={"source": source})
    views = training_views(kind, 0.0, chosen)
    assert (views.loaded, views.window, views.side) == (loaded, window, side)
    assert views.flips == (kind == "texture")


def test_views_differ_in_corner_flip_and_turn() -> None:
    views = training_views("texture", 5.0, small_settings())
    seen = [drawn(views, seed) for seed in range(60)]
    assert {view.flipped for view in seen} == {True, False}
    assert {view.corner[0] for view in seen} == set(range(9))
    assert all(-5 <= view.angle <= 5 for view in seen)
    assert {view.angle > 0 for view in seen} == {True, False}


def test_a_view_is_a_part_of_the_image_flipped_or_not() -> None:
    (image,) = good_images("texture", 1)
    plain, flipped = (View(0.0, (3, 5), 64, flag).of(image) for flag in (False, True))
    np.testing.assert_array_equal(plain, image[3:67, 5:69])
    np.testing.assert_array_equal(flipped, plain[::-1])


def test_a_turn_moves_image_and_label_alike() -> None:
    rng = np.random.default_rng(0)
    label = rng.random((64, 64)).astype(np.float32)
    levels = (255 * label).astype(np.uint8)
    view = View(5.0, (4, 4), 56, False)
    np.testing.assert_array_equal(
        (255 * view.of(label)).astype(np.uint8), view.of(np.repeat(levels[..., None], 3, 2))[..., 0]
    )


def test_a_turn_is_about_the_centre() -> None:
    image = np.zeros((65, 65, 3), np.uint8)
    image[32, 32] = 255
    image[32, 52] = 200
    seen = View(90.0, (0, 0), 65, False).of(image)
    assert seen[32, 32, 0] == 255
    assert seen[12, 32, 0] == 200


@pytest.mark.parametrize("side", [64, 96])
def test_a_frame_of_zeros_undoes_the_central_crop(side: int) -> None:
    pixels = stacked("texture", 2)
    inner = torch.from_numpy(central(pixels, side)[..., 0].astype(np.float32))
    maps = framed(inner, 96)
    margin = (96 - side) // 2
    assert maps.shape == (2, 96, 96)
    np.testing.assert_array_equal(maps.sum(), inner.sum())
    inside = slice(margin, margin + side)
    np.testing.assert_array_equal(maps[:, inside, inside], pixels[:, inside, inside, 0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_a_plan_for_every_class(method: str) -> None:
    for dataset, rows in class_table().items():
        for name in rows:
            plan = make_plan(listed(dataset, name), FEW, small_settings(method, training=AUTO))
            assert plan.epochs == rows[name]["epochs"]
