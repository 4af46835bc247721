"""`clflow synth`: the user looks at a bank."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from builders import mvtec_category

from clflow.cli import main as cli
from clflow.data.images import read_image, read_mask, write_png
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import write_manifest
from clflow.pipeline.presets import Choice, build_study
from clflow.pipeline.rewrite import rewrite_study
from clflow.study.paths import StudyPaths
from clflow.synthesis.bank import read_bank, rebuild, write_bank
from clflow.synthesis.rows import BankRow
from clflow.synthesis.settings import SynthesizeSettings

PARAMS = Path(__file__).parents[1] / "params.yaml"
SIDE = 64
BANK = StudyPaths("parts").bank("gear")


class Outcome(NamedTuple):
    code: object
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the synthesize stage of a study has been run."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copyfile(PARAMS, folder / "params.yaml")
    mvtec_category(folder / "parts", "gear", train=17, size=(48, 48))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rewrite_study(Path("params.yaml"), build_study("folder", Choice((Path("parts"),))))
        manifest = build_manifest(Path("parts"), "gear", "folder", PrepareSettings()).manifest
        write_manifest(StudyPaths("parts").manifest("gear"), manifest)
        settings = SynthesizeSettings(
            image_size=SIDE, per_image=1, validation_per_image=1, kind="texture", attempts=20
        )
        write_bank(manifest, Path("parts"), BANK, "parts", settings)
    return folder


@pytest.fixture
def clflow(
    study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """Run `clflow synth` in a copy of the study."""
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["clflow", "synth", *words.split()])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return Outcome(caught.value.code, *capsys.readouterr())

    return run


def first_row() -> BankRow:
    return read_bank(BANK, "train")[0]


@pytest.mark.parametrize(
    ("words", "place"),
    [
        pytest.param("", "reports/previews/parts/gear-train.png", id="training"),
        pytest.param(
            "--split validation", "reports/previews/parts/gear-validation.png", id="validation"
        ),
        pytest.param("--out looks/mine.png", "looks/mine.png", id="own-place"),
    ],
)
def test_preview_writes_a_picture_and_names_it(clflow: Command, words: str, place: str) -> None:
    assert clflow(f"preview --category gear {words}") == (0, f"{place}\n", "")
    assert read_image(Path(place)).shape[2] == 3


def test_preview_grows_with_the_rows_and_with_real_defects(clflow: Command) -> None:
    heights = []
    for words in ("--count 2", "--count 3", "--count 3 --real"):
        assert clflow(f"preview --category gear --out a.png {words}").code == 0
        heights.append(read_image(Path("a.png")).shape[0])
    assert heights == sorted(set(heights))


def test_rebuild_confirms_the_files_of_a_row(clflow: Command) -> None:
    code, out, err = clflow(f"rebuild train/{first_row().index} --category gear")
    assert (code, err) == (0, "")
    assert "are those of the bank" in out


def test_rebuild_writes_the_anomaly_beside_other_files(clflow: Command) -> None:
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("kept")
    row = first_row()
    assert clflow(f"rebuild train/{row.index} --category gear --out mine").code == 0
    again = rebuild(row, Path("parts"))
    np.testing.assert_array_equal(read_image(Path("mine/image.png")), again.image)
    np.testing.assert_array_equal(read_mask(Path("mine/mask.png"), (SIDE, SIDE)), again.mask)
    np.testing.assert_array_equal(np.load("mine/label.npy"), again.label)
    assert {path.name for path in Path("mine").iterdir()} == {
        "image.png",
        "mask.png",
        "label.npy",
        "notes.txt",
    }


def change_image(row: BankRow) -> None:
    image = read_image(row.image)
    image[5, 7] ^= 1
    write_png(row.image, image)


def change_mask(row: BankRow) -> None:
    mask = read_mask(row.mask, (SIDE, SIDE))
    mask[5, 7] ^= True
    write_png(row.mask, mask)


def change_size(row: BankRow) -> None:
    write_png(row.image, read_image(row.image)[1:])


def change_boxes(row: BankRow) -> None:
    path = BANK / "train/manifest.jsonl"
    lines = path.read_text().splitlines()
    lines[0] = re.sub(r'"boxes": \[\[\d+', '"boxes": [[63', lines[0])
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(change_image, r"image: 1 pixel\(s\) differ by up to 1 grey", id="image"),
        pytest.param(change_mask, r"mask: 1 pixel\(s\) differ by up to 255 grey", id="mask"),
        pytest.param(change_size, r"image: saved as \[63, 64, 3\]", id="size"),
        pytest.param(change_boxes, r"boxes: saved as \(\(63", id="boxes"),
    ],
)
def test_rebuild_notices_a_changed_file(
    clflow: Command, change: Callable[[BankRow], None], message: str
) -> None:
    row = first_row()
    change(row)
    code, out, err = clflow(f"rebuild train/{row.index} --category gear --out again")
    assert (code, out) == (1, "wrote again\n")
    assert err.startswith(f"error: gear train/{row.index} made again is not what the bank holds")
    assert re.search(message, err)
    assert "dvc repro --force synthesize@gear" in err
    assert len(err.splitlines()) == 1


def test_stats_prints_synthetic_and_real(clflow: Command) -> None:
    code, out, err = clflow("stats --category gear --real")
    assert (code, err) == (0, "")
    for text in ("parts/gear train", "all", "real defects"):
        assert text in out
    assert "real defects" not in clflow("stats --category gear").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("preview --category gera", "did you mean 'gear'?", id="category"),
        pytest.param("stats --category bottle", "allowed are gear", id="far-category"),
        pytest.param("preview --category gear --split trian", "did you mean 'train'?", id="split"),
        pytest.param("preview --category gear --out a.jpg", "is written as PNG", id="suffix"),
        pytest.param("rebuild 3 --category gear", "such as train/12, not '3'", id="form"),
        pytest.param("rebuild train/x --category gear", "not 'train/x'", id="number"),
        pytest.param("rebuild tain/3 --category gear", "did you mean 'train'?", id="row-split"),
        pytest.param("rebuild train/999 --category gear", "the nearest is", id="row"),
    ],
)
def test_wrong_names_are_one_error(clflow: Command, words: str, message: str) -> None:
    code, out, err = clflow(words)
    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert message in err
    assert not Path("reports").exists()


@pytest.mark.parametrize("words", ["preview", "stats", "rebuild train/0"])
def test_without_a_bank(clflow: Command, words: str) -> None:
    shutil.rmtree("data/bank")
    code, out, err = clflow(f"{words} --category gear")
    assert (code, out) == (1, "")
    assert "run the synthesize stage again" in err


def test_empty_split_has_nothing_to_show(clflow: Command) -> None:
    (BANK / "validation/manifest.jsonl").write_text("")
    assert "holds no anomaly" in clflow("preview --category gear --split validation").err
    assert "holds no anomaly" in clflow("rebuild validation/0 --category gear").err


def test_count_of_nothing_is_wrong_usage(clflow: Command) -> None:
    assert clflow("preview --category gear --count 0").code == 2
