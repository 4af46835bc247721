import io
from pathlib import Path

import numpy as np
import pytest
from builders import (
    btad_category,
    defect_mask,
    flat_category,
    mvtec_category,
    save,
    texture,
    visa_dataset,
)
from rich.console import Console

from clflow.data.check import Report, check_folder, render
from clflow.errors import DataError, SettingsError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(9)


def _text(report: Report) -> str:
    console = Console(file=io.StringIO(), width=160)
    render(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_sound_folder_is_ok(tmp_path: Path) -> None:
    mvtec_category(tmp_path, train=20, good=3, defects={"crack": 2, "dent": 4}, size=(10, 14))

    report = check_folder(tmp_path)
    text = _text(report)

    assert report.ok
    assert report.layout == "mvtec_ad"
    for cell in ("20 (8 held out)", "2 crack", "4 dent", "14 x 10", "29 png 8-bit RGB", "6 filled"):
        assert cell in text
    assert "error" not in text
    assert "warning" not in text


@pytest.mark.parametrize(
    ("build", "layout"),
    [(btad_category, "btad"), (visa_dataset, "visa"), (flat_category, "folder")],
)
def test_layouts_are_detected(tmp_path: Path, build: object, layout: str) -> None:
    build(tmp_path)  # type: ignore[operator]

    report = check_folder(tmp_path)

    assert report.layout == layout
    assert report.ok
    assert report.notes == ()


def test_flat_folders_show_the_default_split(tmp_path: Path) -> None:
    flat_category(tmp_path, good=30)

    report = check_folder(tmp_path)

    assert "24 (8 held out)" in _text(report)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(
            lambda folder: (folder / "test/good/000.png").write_bytes(b""), id="unreadable image"
        ),
        pytest.param(
            lambda folder: save(
                folder / "ground_truth/crack/000_mask.png", np.zeros((8, 8), np.uint8)
            ),
            id="wrong mask size",
        ),
        pytest.param(
            lambda folder: (folder / "test/good/009.png").write_bytes(
                (folder / "train/good/000.png").read_bytes()
            ),
            id="leak",
        ),
        pytest.param(
            lambda folder: [path.unlink() for path in (folder / "train/good").glob("00[0-5].png")],
            id="too few good images",
        ),
        pytest.param(
            lambda folder: [path.unlink() for path in folder.glob("test/*/*.png")],
            id="no test images",
        ),
        pytest.param(lambda folder: folder.rename(folder.with_name("my widget")), id="name"),
        pytest.param(lambda folder: folder.rename(folder.parent.parent / "away"), id="no category"),
    ],
)
def test_what_spoils_a_study_is_an_error(tmp_path: Path, spoil: object) -> None:
    root = tmp_path / "root"
    spoil(mvtec_category(root))  # type: ignore[operator]

    report = check_folder(root, "mvtec_ad")

    assert not report.ok
    assert "error: " in _text(report)


def test_oddities_are_warnings(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = mvtec_category(tmp_path, defects={"crack": 3})
    save(folder / "train/good/large.png", texture(rng, (20, 30)))
    (folder / "train/good/copy.png").write_bytes((folder / "train/good/003.png").read_bytes())
    (folder / "ground_truth/crack/000_mask.png").unlink()
    save(folder / "ground_truth/crack/001_mask.png", np.zeros((16, 16), np.uint8))

    report = check_folder(tmp_path)
    text = _text(report)

    assert report.ok
    for cell in ("16-30 x 16-20", "1 missing", "1 empty", "1 filled"):
        assert cell in text
    assert "train/good/003.png = widget/train/good/copy.png" in text
    assert text.count("warning: widget: ") == 3


def test_every_category_and_every_problem_is_listed(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    mvtec_category(tmp_path, "bolt")
    folder = mvtec_category(tmp_path, "nut", train=40)
    for index in range(14):
        (folder / f"train/good/{index:03d}.png").write_bytes(b"")
    save(folder / "ground_truth/crack/000_mask.png", defect_mask(rng, (9, 7)))

    report = check_folder(tmp_path)
    text = _text(report)

    bolt, nut = report.categories
    assert bolt.assessment.problems == ()
    assert len(nut.assessment.problems) == 15
    assert text.count("error: nut: ") == 15
    assert "1 broken" in text


def test_folders_that_are_no_category_are_named(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "bolt")
    flat_category(tmp_path, "gear")

    report = check_folder(tmp_path)

    assert report.ok
    assert "warning: folder gear is no category of the layout 'mvtec_ad'" in _text(report)


def test_names_with_brackets_are_printed_as_they_are(tmp_path: Path) -> None:
    folder = mvtec_category(tmp_path)
    (folder / "train/good/[red]part[bold].png").write_bytes(b"")

    assert "[red]part[bold].png" in _text(check_folder(tmp_path))


def test_a_missing_root_or_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent"):
        check_folder(tmp_path / "absent")
    with pytest.raises(SettingsError, match="unknown layout"):
        check_folder(tmp_path, "mvtec")
