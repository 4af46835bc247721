"""Settings of NSA: the published classes, what is measured, what the user overrides."""

from collections.abc import Sequence

import pytest
from nsa_images import Image, on_plain_ground, textured
from pydantic import ValidationError

from clflow.synthesis.background import decide
from clflow.synthesis.nsa import NSA, NSAOverrides, NSASettings
from clflow.synthesis.settings import SynthesizeSettings


def resolved(
    dataset: str,
    category: str,
    settings: SynthesizeSettings | None = None,
    images: Sequence[Image] = (),
) -> NSASettings:
    """Return what NSA uses for a category."""
    settings = settings or SynthesizeSettings()
    return NSA().resolve(decide(dataset, category, settings, images), settings)


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        pytest.param(
            "screw",
            {
                "height_bounds": (0.03, 0.12),
                "width_bounds": (0.03, 0.12),
                "patches": 4,
                "logistic_k": 1.0,
                "logistic_x0": 3.0,
                "background": (200.0, 60.0),
                "minimum_object": 0.5,
                "clone": "normal",
                "resize_bounds": (0.7, 1.3),
            },
            id="screw",
        ),
        pytest.param(
            "cable",
            {"background": None, "clone": "normal", "height_bounds": (0.05, 0.4)},
            id="cable",
        ),
        pytest.param(
            "carpet",
            {
                "background": None,
                "clone": "mixed",
                "resize_bounds": (0.5, 2.0),
                "patches": 4,
                "logistic_k": 1 / 3,
                "logistic_x0": 7.0,
            },
            id="carpet",
        ),
        pytest.param(
            "capsule",
            {"height_bounds": (0.03, 0.15), "width_bounds": (0.03, 0.4), "logistic_k": 0.5},
            id="capsule",
        ),
        pytest.param(
            "toothbrush",
            {"width_bounds": (0.03, 0.2), "background": (20.0, 20.0), "minimum_object": 0.25},
            id="toothbrush",
        ),
    ],
)
def test_class_table_holds_the_published_values(category: str, expected: dict[str, object]) -> None:
    found = resolved("mvtec_ad", category).model_dump()
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("category", "patches"), [("01", 3), ("02", 4), ("03", 3)], ids=["01", "02", "03"]
)
def test_btad_has_its_numbers_and_a_measured_kind(category: str, patches: int) -> None:
    images = [on_plain_ground(96, 96, 0)]
    decision = decide("btad", category, SynthesizeSettings(), images)
    found = NSA().resolve(decision, SynthesizeSettings())
    assert (found.patches, found.logistic_k, found.logistic_x0) == (patches, 1 / 6, 15)
    assert decision.measured is not None
    assert decision.reason == decision.measured.reason
    measured = (decision.measured.brightness, decision.measured.threshold)
    assert found.background == decision.background == measured


def test_unlisted_category_is_measured() -> None:
    of_object = resolved("mine", "part", images=[on_plain_ground(96, 96, 0)])
    of_texture = resolved("mine", "cloth", images=[textured(96, 96, 0)])
    assert of_object.clone == "normal"
    assert of_object.background is not None
    assert of_texture.clone == "mixed"
    assert of_texture.background is None


def test_kind_and_overrides_win_over_the_table() -> None:
    forced = SynthesizeSettings(kind="texture", nsa=NSAOverrides(patches=2, logistic_x0=9))
    found = resolved("mvtec_ad", "screw", forced)
    assert (found.clone, found.background, found.patches) == ("mixed", None, 2)
    assert (found.logistic_x0, found.logistic_k) == (9, 1)
    unmasked = SynthesizeSettings(nsa=NSAOverrides(background="none"))
    assert resolved("mvtec_ad", "screw", unmasked).background is None
    levels = SynthesizeSettings(nsa=NSAOverrides(background=(10, 30)))
    assert resolved("mvtec_ad", "carpet", levels).background == (10, 30)


def test_none_takes_a_setting_away() -> None:
    for name in ("background", "resize_bounds"):
        kept = resolved("mvtec_ad", "screw")
        taken = resolved(
            "mvtec_ad", "screw", SynthesizeSettings(nsa=NSAOverrides(**{name: "none"}))
        )
        assert getattr(kept, name) is not None
        assert taken == kept.model_copy(update={name: None})


def test_in_place_goes_with_no_resizing() -> None:
    for model, none in ((NSASettings, None), (NSAOverrides, "none")):
        with pytest.raises(ValidationError, match="set resize_bounds to none"):
            model.model_validate({"in_place": True, "resize_bounds": (0.7, 1.3)})
        assert model.model_validate({"in_place": True, "resize_bounds": none}).in_place
    with pytest.raises(ValidationError, match="set resize_bounds to none"):
        NSAOverrides(in_place=True)


def test_overrides_know_every_setting() -> None:
    assert set(NSAOverrides.model_fields) == set(NSASettings.model_fields)


def test_settings_survive_json() -> None:
    found = resolved("mvtec_ad", "bottle")
    assert NSASettings.model_validate_json(found.model_dump_json()) == found
    assert NSA().load(found.model_dump(mode="json")) == found


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"height_bounds": (0.4, 0.03)}, id="bounds-descend"),
        pytest.param({"width_bounds": (0.1, 0.6)}, id="wider-than-the-image"),
        pytest.param({"minimum_object": 1.5}, id="more-than-all"),
        pytest.param({"patches": 0}, id="no-patch"),
        pytest.param({"factor_bounds": (0.0, 0.5)}, id="no-factor"),
        pytest.param({"shape": "circle"}, id="shape"),
        pytest.param({"clone": "hard"}, id="clone"),
        pytest.param({"color": 1}, id="unknown"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    for model in (NSASettings, NSAOverrides):
        with pytest.raises(ValidationError):
            model.model_validate(values)
