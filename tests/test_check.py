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


def _text(report: Report, width: int = 80, terminal: bool = False) -> str:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=terminal, color_system=None, _environ={}
    )
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


DEFECTS = {"bent": 3, "scratch_on_the_head": 3, "scratch_on_the_neck": 2, "thread_side": 3}
HEAD = "3 scratch_on_the_head"
NECK = "2 scratch_on_the_neck"


@pytest.fixture
def crowded(tmp_path: Path) -> Report:
    mvtec_category(tmp_path, "bolt")
    folder = mvtec_category(tmp_path, "nut", train=20, good=3, defects=DEFECTS)
    (folder / "ground_truth/bent/000_mask.png").unlink()
    return check_folder(tmp_path)


@pytest.mark.parametrize(
    ("width", "wrapped"),
    [
        pytest.param(60, [f"11: 3 bent, {HEAD},", f"{NECK}, 3 thread_side"], id="60"),
        pytest.param(80, [f"11: 3 bent, {HEAD}, {NECK},", "3 thread_side"], id="80"),
        pytest.param(120, [f"11: 3 bent, {HEAD}, {NECK}, 3 thread_side"], id="120"),
    ],
)
def test_a_terminal_gets_lines_that_fit_and_break_between_items(
    crowded: Report, width: int, wrapped: list[str]
) -> None:
    lines = _text(crowded, width, terminal=True).splitlines()
    fields = [line for line in lines if line.startswith("  ")]
    assert max(map(len, fields)) <= width
    start = lines.index("  test anomalous  " + wrapped[0])
    assert lines[start + 1 : start + len(wrapped)] == [" " * 18 + line for line in wrapped[1:]]
    assert "  masks           11: 10 filled, 1 missing" in lines


@pytest.mark.parametrize("width", [1, 60])
def test_a_file_gets_whole_lines_whatever_the_width(crowded: Report, width: int) -> None:
    text = _text(crowded, width)
    assert text == _text(crowded, 500)
    assert f"\n  test anomalous  11: 3 bent, {HEAD}, {NECK}, 3 thread_side\n" in text
    blocks = text.split("\n\n")
    assert [block.splitlines()[0] for block in blocks[1:3]] == ["bolt", "nut"]
    assert [len(block.splitlines()) for block in blocks[1:3]] == [8, 8]


def test_a_name_wider_than_the_terminal_is_kept_whole(tmp_path: Path) -> None:
    mvtec_category(tmp_path, "nut", train=20, good=3, defects={"scratch": 2, "w" * 50: 3})
    assert f"\n{' ' * 18}3 {'w' * 50}\n" in _text(check_folder(tmp_path), 30, terminal=True)


def test_a_category_without_a_readable_image_has_its_block(tmp_path: Path) -> None:
    folder = mvtec_category(tmp_path, "nut", train=2, good=1, defects={"bent": 1})
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    text = _text(check_folder(tmp_path))
    for line in ("size (w x h)    unknown", "test anomalous  0", "unreadable      4"):
        assert f"\n  {line}\n" in text
