"""Mixtures: members by weight, each with its own settings, in a bank whose rows rebuild."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from cloth import contents, study

from clflow.data.images import read_image, read_mask
from clflow.errors import SettingsError
from clflow.synthesis.background import decide
from clflow.synthesis.bank import read_bank, rebuild, write_bank
from clflow.synthesis.nsa import NSAOverrides
from clflow.synthesis.registry import GENERATORS, choose_member, find_members, get_generator
from clflow.synthesis.settings import CLFLOW_MIXTURE, SynthesizeSettings

EVEN = dict.fromkeys(GENERATORS, 1.0)
# patches of fewer pixels than these are often too small to blend
ALL = SynthesizeSettings(
    generator="mixture",
    mixture=EVEN,
    image_size=48,
    per_image=6,
    validation_per_image=4,
    attempts=10,
    nsa=NSAOverrides(height_bounds=(0.2, 0.4), width_bounds=(0.2, 0.4)),
)


@pytest.fixture(autouse=True)
def _no_textures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "mixture",
    [
        pytest.param(CLFLOW_MIXTURE, id="ours"),
        pytest.param(EVEN, id="even"),
        pytest.param({"nsa": 1.0, "fpi": 8.0}, id="not-normalised"),
        pytest.param({"pii": 3.0}, id="alone"),
    ],
)
def test_members_are_drawn_by_weight(mixture: dict[str, float]) -> None:
    """Each count lies within 4.5 standard deviations of its binomial's mean."""
    settings = SynthesizeSettings(generator="mixture", mixture=mixture)
    members = find_members(decide("mvtec_ad", "carpet", settings, []), settings)
    assert sum(member.weight for member in members) == pytest.approx(1)
    rng, draws = np.random.default_rng(0), 4000
    drawn = [choose_member(members, rng).generator for _ in range(draws)]
    assert set(drawn) == set(mixture)
    for name, weight in mixture.items():
        share = weight / sum(mixture.values())
        spread = sqrt(draws * share * (1 - share))
        assert abs(drawn.count(name) - draws * share) <= 4.5 * spread


def test_published_parts_of_the_default_mixture() -> None:
    assert SynthesizeSettings().mixture == {"nsa": 0.5, "cutpaste_scar": 0.25, "perlin": 0.25}
    assert SynthesizeSettings().generator == "nsa"


@pytest.mark.parametrize("name", GENERATORS)
def test_one_generator_is_a_mixture_of_one(name: str) -> None:
    settings = SynthesizeSettings(generator=name)
    decision = decide("mvtec_ad", "screw", settings, [])
    (member,) = find_members(decision, settings)
    assert (member.generator, member.weight) == (name, 1)
    assert member.settings == get_generator(name).resolve(decision, settings)
    assert member.source == ("same" if name.startswith("cutpaste") else "other")


def test_settings_are_those_of_the_members_own_sections() -> None:
    chosen = {name: {"tolerance": 2.0 + place} for place, name in enumerate(GENERATORS)}
    settings = SynthesizeSettings.model_validate(
        {"generator": "mixture", "mixture": EVEN, **chosen}
    )
    members = find_members(decide("mvtec_ad", "screw", settings, []), settings)
    assert {m.generator: {"tolerance": m.settings.tolerance} for m in members} == chosen


def test_label_replaces_that_of_every_member() -> None:
    settings = ALL.model_copy(update={"label": "intensity"})
    decision = decide("mvtec_ad", "screw", settings, [])
    assert {member.settings.label for member in find_members(decision, settings)} == {"intensity"}
    own = {member.generator: member.settings.label for member in find_members(decision, ALL)}
    assert own == {
        "nsa": "logistic",
        "fpi": "continuous",
        "pii": "continuous",
        "cutpaste": "binary",
        "cutpaste_scar": "binary",
        "perlin": "binary",
    }


def test_unknown_member_is_told() -> None:
    settings = ALL.model_copy(update={"mixture": {"nsa": 1.0, "purlin": 1.0}})
    with pytest.raises(SettingsError, match="unknown generator 'purlin': did you mean 'perlin'"):
        find_members(decide("mvtec_ad", "screw", settings, []), settings)
    with pytest.raises(SettingsError, match="mixture is empty"):
        choose_member((), np.random.default_rng(0))


def test_rows_of_a_mixture_carry_their_own_generator_and_rebuild(tmp_path: Path) -> None:
    summary = write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", ALL)
    assert set(summary.resolved) == set(GENERATORS)
    rows = read_bank(tmp_path / "bank", "train")
    counts = {name: sum(row.generator == name for row in rows) for name in GENERATORS}
    assert summary.splits["train"].generators == counts
    assert all(counts.values())
    for row in rows:
        assert row.settings == summary.resolved[row.generator]
        assert row.label == row.settings["label"]
        assert (row.source == row.destination) == row.generator.startswith("cutpaste")
        synthetic = rebuild(row, tmp_path)
        np.testing.assert_array_equal(synthetic.image, read_image(row.image))
        np.testing.assert_array_equal(synthetic.mask, read_mask(row.mask, (48, 48)))
        assert (synthetic.boxes, synthetic.patches) == (row.boxes, row.patches)


def test_workers_do_not_change_a_byte_of_a_mixture(tmp_path: Path) -> None:
    manifest = study(tmp_path)
    for workers in (1, 2):
        write_bank(manifest, tmp_path, tmp_path / f"bank{workers}", "mine", ALL, workers)
    assert contents(tmp_path / "bank1") == contents(tmp_path / "bank2")


def test_failures_do_not_shift_a_mixture_to_what_never_fails(tmp_path: Path) -> None:
    """NSA finds no place at all here: what it gives up is not made up by the others."""
    nowhere = NSAOverrides(height_bounds=(0.03, 0.03), width_bounds=(0.03, 0.03))
    change = {"mixture": {"nsa": 1.0, "cutpaste": 3.0}, "nsa": nowhere, "per_image": 24}
    settings = ALL.model_copy(update=change)
    summary = write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", settings)
    counts = summary.splits["train"]
    assert counts.generators == {"cutpaste": counts.written}
    assert abs(counts.failed - counts.asked / 4) <= 4.5 * sqrt(counts.asked * 0.25 * 0.75)
    assert counts.attempts == counts.written + 10 * counts.failed
