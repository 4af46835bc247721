"""Banks of every generator: rebuilt bit for bit, splits apart, single images, failures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloth import contents, saved, study

from clflow.data.images import read_image, read_mask
from clflow.data.records import Manifest
from clflow.errors import DataError
from clflow.synthesis.bank import SPLITS, read_bank, rebuild, write_bank
from clflow.synthesis.cutpaste import CutPasteSettings, ScarSettings
from clflow.synthesis.fpi import PIISettings
from clflow.synthesis.nsa import NSAOverrides
from clflow.synthesis.perlin import PerlinSettings
from clflow.synthesis.registry import GENERATORS
from clflow.synthesis.settings import SynthesizeSettings

# patches of fewer pixels than these are often too small to blend
LARGE: dict[str, Any] = {"height_bounds": (0.2, 0.4), "width_bounds": (0.2, 0.4)}
SMALL = SynthesizeSettings(
    image_size=48, per_image=2, validation_per_image=2, attempts=10, nsa=NSAOverrides(**LARGE)
)
CHOICES: dict[str, dict[str, Any]] = {name: {"generator": name} for name in GENERATORS} | {
    "nsa-same-image": {"nsa": NSAOverrides(source="same", **LARGE)},
    "nsa-in-place": {"nsa": NSAOverrides(in_place=True, resize_bounds="none", **LARGE)},
    "nsa-ellipses": {"nsa": NSAOverrides(shape="ellipses", clone="swap", **LARGE)},
    "nsa-interpolated": {
        "nsa": NSAOverrides(clone="interpolate", factor_bounds=(0.3, 0.9), **LARGE)
    },
}
COLOURS_KEPT: dict[str, Any] = {
    "attempts": 2,
    "cutpaste": CutPasteSettings(jitter=0),
    "cutpaste_scar": ScarSettings(jitter=0),
    "perlin": PerlinSettings(changes=0),
}

all_choices = pytest.mark.parametrize("change", CHOICES.values(), ids=CHOICES)
alone = [name for name, change in CHOICES.items() if name.startswith(("cutpaste", "nsa-same"))]
in_need = [name for name in CHOICES if name not in alone]


@pytest.fixture(autouse=True)
def _no_textures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def bank(root: Path, manifest: Manifest, **change: Any) -> Path:
    settings = SMALL.model_copy(update=change)
    write_bank(manifest, root, root / "bank", "mine", settings)
    return root / "bank"


@all_choices
def test_rows_rebuild_the_saved_pixels(tmp_path: Path, change: dict[str, Any]) -> None:
    out = bank(tmp_path, study(tmp_path), **change)
    for split in SPLITS:
        rows = read_bank(out, split)
        assert rows
        for row in rows:
            synthetic = rebuild(row, tmp_path)
            np.testing.assert_array_equal(synthetic.image, read_image(row.image))
            np.testing.assert_array_equal(synthetic.mask, read_mask(row.mask, row.shape))
            assert (synthetic.boxes, synthetic.patches) == (row.boxes, row.patches)


@all_choices
def test_second_bank_has_the_same_bytes(tmp_path: Path, change: dict[str, Any]) -> None:
    manifest = study(tmp_path, train=3, validation=2)
    first = contents(bank(tmp_path, manifest, **change))
    assert contents(bank(tmp_path, manifest, **change)) == first


@all_choices
def test_splits_share_no_image(tmp_path: Path, change: dict[str, Any]) -> None:
    manifest = study(tmp_path)
    out = bank(tmp_path, manifest, **change)
    for split, records in (("train", manifest.train), ("validation", manifest.validation)):
        own = {(record.path, record.sha256) for record in records}
        for row in read_bank(out, split):
            for origin in (row.source, row.destination):
                assert (origin.path, origin.sha256) in own
                assert records[origin.index].path == origin.path


@pytest.mark.parametrize("name", alone)
def test_one_image_is_enough_where_it_is_its_own_source(tmp_path: Path, name: str) -> None:
    manifest = study(tmp_path, train=1, validation=1)
    out = bank(tmp_path, manifest, **CHOICES[name], per_image=4, validation_per_image=4)
    for split in SPLITS:
        rows = read_bank(out, split)
        assert rows
        assert all(row.source == row.destination for row in rows)


@pytest.mark.parametrize("name", in_need)
@pytest.mark.parametrize(("train", "validation", "split"), [(1, 2, "train"), (2, 1, "validation")])
def test_one_image_is_too_few_where_another_is_needed(
    tmp_path: Path, name: str, train: int, validation: int, split: str
) -> None:
    manifest = study(tmp_path, train=train, validation=validation)
    with pytest.raises(DataError, match=rf"split {split} of cloth has 1 image.*needs 2.*cutpaste"):
        bank(tmp_path, manifest, **CHOICES[name])
    assert not (tmp_path / "bank").exists()


def test_mixture_needs_another_image_if_a_member_does(tmp_path: Path) -> None:
    manifest = study(tmp_path, train=1, validation=1)
    change: dict[str, Any] = {"generator": "mixture", "mixture": {"cutpaste": 9.0, "fpi": 1.0}}
    with pytest.raises(DataError, match="an anomaly of mixture needs 2"):
        bank(tmp_path, manifest, **change)
    enough = {"generator": "mixture", "mixture": {"cutpaste": 9.0, "cutpaste_scar": 1.0}}
    assert read_bank(bank(tmp_path, manifest, **enough), "train")


@all_choices
def test_images_without_any_detail_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """All images are alike and plain: what a generator leaves as it was is a failure."""
    plain = np.full((48, 48, 3), 128, np.uint8)
    records = [saved(tmp_path, n, plain, "train" if n < 2 else "validation") for n in range(4)]
    manifest = Manifest("plain", tuple(records))
    with pytest.raises(DataError, match=r"4 of 4 anomalies of plain \(train\) found no place in 2"):
        bank(tmp_path, manifest, **COLOURS_KEPT, **change)
    assert not (tmp_path / "bank").exists()


def test_failures_are_counted(tmp_path: Path) -> None:
    """Squares of 4 to 26 px: those with fewer than 50 inner pixels are not blended."""
    settings = SMALL.model_copy(
        update={
            "generator": "pii",
            "pii": PIISettings(half_width=(0.05, 0.3)),
            "per_image": 8,
            "attempts": 2,
        }
    )
    summary = write_bank(study(tmp_path), tmp_path, tmp_path / "bank", "mine", settings)
    rows, counts = read_bank(tmp_path / "bank", "train"), summary.splits["train"]
    assert 0 < counts.failed < 20
    assert counts.asked == 40
    assert counts.written == len(rows) == 40 - counts.failed
    assert counts.attempts == sum(row.attempt + 1 for row in rows) + 2 * counts.failed
    assert counts.generators == {"pii": len(rows)}
