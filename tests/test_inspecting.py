"""Many images: rows that are whole whenever the work ends, and what cannot be read named."""

import csv
import errno
import io
import json
import os
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from flow_cases import grain, spotted
from numpy.typing import NDArray

import clflow
from clflow.cli.main import main
from clflow.data.images import ImageSource, write_png
from clflow.data.reading import AS_USUAL
from clflow.decision.calibration import Calibration, Rates
from clflow.decision.inputs import Item, Passed, find_items
from clflow.decision.pictures import Pictures
from clflow.decision.predicting import Pixels, Predicting, Raw
from clflow.decision.rows import COLUMNS, RowFile
from clflow.decision.stream import Run, inspect, results_file
from clflow.errors import DataError, SettingsError, StorageError

GOOD = grain(24, 0)
NAMES = ("predictions.csv", "predictions.jsonl", "predictions.parquet")


class Mean(Predicting):
    """Scores an image by its mean brightness."""

    def __init__(self) -> None:
        self.calibration_ = Calibration.of(np.arange(99.0), np.arange(99.0), Rates(0.05, 0.2))
        self.region_ = None
        self.reading_ = AS_USUAL
        self.package_ = "0" * 64

    def _check_fitted(self) -> None:
        """It always is."""

    def _raw(self, images: Any) -> Raw:
        if any(image[0, 0, 0] == 13 for image in images):
            raise DataError("this image is unlucky")
        scores = np.array([image.mean() for image in images], np.float32)
        return scores, np.stack([np.full((4, 4), score, np.float32) for score in scores])

    @property
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        return ((8, 8),)


def grey(value: int) -> Pixels:
    return np.full((8, 8, 3), value, np.uint8)


def items(*values: int) -> list[Item]:
    return [Item(f"{value}.png", lambda value=value: grey(value)) for value in values]  # type: ignore[misc]


def run(folder: Path, **options: Any) -> Run:
    return Run(Mean(), Pictures(folder), **options)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_read_back_as_they_were_written(name: str, tmp_path: Path) -> None:
    tally = inspect(run(tmp_path, batch=2), items(1, 90, 200, 13, 50), RowFile(tmp_path / name))
    assert dict(tally.decisions) == {"good": 2, "review": 1, "anomalous": 1}
    rows = RowFile(tmp_path / name).read()
    assert [row["path"] for row in rows] == ["1.png", "90.png", "200.png", "13.png", "50.png"]
    assert [row["decision"] for row in rows] == ["good", "review", "anomalous", None, "good"]
    assert rows[3]["error"] == "this image is unlucky"
    assert rows[2]["regions"][0]["area"] == 64
    assert rows[0]["false_alarm_rate"] == 0.99
    assert set(rows[0]) == set(COLUMNS)
    assert not (tmp_path / f"{name}.rows").exists()


def test_formats_say_the_same(tmp_path: Path) -> None:
    for name in NAMES:
        inspect(run(tmp_path), items(1, 13, 200), RowFile(tmp_path / name))
    first, *others = (
        [{**row, "milliseconds": 0} for row in RowFile(tmp_path / n).read()] for n in NAMES
    )
    assert others == [first, first]
    table = pd.read_parquet(tmp_path / NAMES[2])
    assert table["score"].dtype == np.float64


@pytest.mark.parametrize("name", NAMES)
def test_cut_off_and_resumed_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    whole, cut = RowFile(tmp_path / "whole" / name), RowFile(tmp_path / "cut" / name)
    inspect(run(tmp_path), items(*range(20, 40)), whole)

    def stopped() -> Iterator[Item]:
        yield from items(*range(20, 27))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        inspect(run(tmp_path, batch=3), stopped(), cut)
    assert len(cut.read()) == 6
    with cut.partial.open("ab") as file:
        file.write(b"half a li")
    tally = inspect(run(tmp_path), items(*range(20, 40)), cut, resume=True)
    assert (tally.kept, sum(tally.decisions.values())) == (6, 14)
    kept = [[row["path"], row["score"], row["decision"]] for row in cut.read()]
    assert kept == [[row["path"], row["score"], row["decision"]] for row in whole.read()]


def test_what_failed_is_tried_again_on_resume(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "a.csv")
    inspect(run(tmp_path), items(13, 1), rows)
    broken = [Item("13.png", lambda: grey(14)), *items(1)]
    tally = inspect(run(tmp_path), broken, rows, resume=True)
    assert tally.errors == 0
    assert {row["path"]: row["error"] for row in rows.read()} == {"13.png": None, "1.png": None}


def test_results_of_another_package_are_not_gone_on_with(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "a.csv")
    inspect(run(tmp_path), items(1), rows)
    other = run(tmp_path)
    other.predictor.package_ = "1" * 64  # type: ignore[misc]
    with pytest.raises(DataError, match="another package"):
        inspect(other, items(2), rows, resume=True)
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="does not hold results"):
        inspect(other, items(2), RowFile(tmp_path / "b.csv"), resume=True)


def test_the_first_error_ends_it_when_asked(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "a.csv")
    with pytest.raises(DataError, match="unlucky"):
        inspect(run(tmp_path, fail_fast=True, batch=1), items(1, 2, 13, 4), rows)
    assert [row["path"] for row in rows.read()] == ["1.png", "2.png"]


def test_a_full_disk_leaves_whole_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RowFile(tmp_path / "a.jsonl")
    inspect(run(tmp_path), items(1, 2), rows)
    before = rows.read()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left.*--resume"):
        rows.add(before)
    assert rows.read() == before


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        names = (
            Item(f"{place}.png", lambda: np.zeros((64, 64, 3), np.uint8)) for place in range(count)
        )
        tracemalloc.start()
        inspect(run(tmp_path), names, RowFile(tmp_path / f"{count}.csv"))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    few, many = peak(64), peak(1024)
    # what is left of each is its latency
    assert many < few + 200 * 1024


def test_inputs_are_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b/2.png", "b/1.PNG", "b/deep/3.png", "a.png", "c [1].png", "b/.hidden.png"):
        write_png(Path(name), grey(5))
    Path("b/notes.txt").write_text("no image")
    passed = Passed()
    found = find_items(["b", "*.png", "c [1].png", "-"], ["a.png\n", "\n", "b\n"], passed)
    assert [item.name for item in found] == [
        *("b/1.PNG", "b/2.png", "b/deep/3.png"),
        *("a.png", "c [1].png"),
        "c [1].png",
        "a.png",
        *("b/1.PNG", "b/2.png", "b/deep/3.png"),
    ]
    assert (passed.count, passed.first) == (2, "b/notes.txt")


def bad_files(folder: Path) -> dict[str, str]:
    """Write files that are no images, and return what is said of each."""
    write_png(folder / "whole.png", GOOD[0])
    whole = (folder / "whole.png").read_bytes()
    (folder / "whole.png").unlink()
    contents: dict[str, tuple[bytes, str]] = {
        "zero.png": (b"", "empty"),
        "text.png": (b"hello", "damaged or no"),
        "cut.png": (whole[: len(whole) // 2], "damaged"),
        "gif.png": (b"GIF89a" + bytes(20), "GIF"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    cv2.imwrite(str(folder / "nan.tiff"), np.full((8, 8), np.nan, np.float32))
    return {name: said for name, (_, said) in contents.items()} | {"nan.tiff": "NaN"}


def test_files_that_are_no_images_are_rows_with_their_errors(tmp_path: Path) -> None:
    said = bad_files(tmp_path)
    write_png(tmp_path / "good.png", grey(5))
    (tmp_path / "empty").mkdir()
    rows = RowFile(tmp_path / "out.csv")
    inputs = [str(tmp_path / name) for name in (*said, "good.png", "empty", "gone.png", "no*.png")]
    tally = inspect(run(tmp_path), find_items(inputs), rows)
    assert (tally.errors, sum(tally.decisions.values())) == (len(said) + 3, 1)
    errors = {Path(row["path"]).name: row["error"] for row in rows.read()}
    for name, text in said.items():
        assert text in errors[name], (name, errors[name])
        assert "\n" not in errors[name]
    assert "no image or video" in errors["empty"]
    assert "No such file" in errors["gone.png"]
    assert "no file matches" in errors["no*.png"]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in (10, 90, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def test_videos_are_read_frame_by_frame(video: Path, tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "out.csv")
    inspect(run(tmp_path, batch=2), find_items([str(video)]), rows)
    found = rows.read()
    assert [Path(row["path"]).name for row in found] == [f"line.avi#00000{n}" for n in range(3)]
    assert [round(row["score"] / 10) for row in found] == [1, 9, 20]
    assert (
        found[0]["remarks"]
        == "size 64x48, trained on 8x8; constant image, all its pixels are alike"
    )


def test_a_video_that_ends_early_is_said(video: Path, tmp_path: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content[: len(content) * 2 // 3])
    rows = RowFile(tmp_path / "out.csv")
    tally = inspect(run(tmp_path), find_items([str(video)]), rows)
    assert tally.errors == 1
    assert "video" in rows.read()[-1]["error"]


@pytest.mark.parametrize("name", ["results.txt", "results.xlsx"])
def test_results_of_another_ending_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=r"\.csv, \.jsonl, \.parquet"):
        results_file(Path(name))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "part.clflow"
    settings: dict[str, Any] = {"image_size": 64}
    clflow.fit(GOOD, method="padim", false_alarm_rate=0.2, **settings).save(folder)
    return folder


def command(*arguments: str | Path, monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["clflow", *map(str, arguments)])
    try:
        main()
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, image in enumerate(grain(3, 9)):
        write_png(tmp_path / "new" / f"{index}.png", image)
    write_png(tmp_path / "new" / "spot.png", spotted(grain(1, 7))[0][0])
    return tmp_path / "new"


def test_predict_writes_rows_and_pictures(
    package: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    out = tmp_path / "out"
    options = ("--overlays", "--masks", "--maps", "tiff", "--minimum-area", "4")
    assert command("predict", package, folder, "--out", out, *options, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "4 image(s)" in said
    assert "P95" in said
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    detector = clflow.load(package)
    expected = detector.predict(sorted(map(str, folder.iterdir())))
    assert [float(row["score"]) for row in rows] == [each.score for each in expected]
    assert rows[-1]["decision"] == "anomalous"
    assert {row["package"] for row in rows} == {detector.package_}
    assert json.loads(rows[-1]["regions"])[0]["area"] >= 4
    kept = cv2.imread(str(out / "maps" / "000003-spot.tiff"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(kept, expected[-1].anomaly_map)
    mask = cv2.imread(str(out / "masks" / "000003-spot.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert (mask > 0).sum() == sum(r["area"] for r in json.loads(rows[-1]["regions"]))
    assert len(list((out / "overlays").iterdir())) == 4


def test_predict_goes_on_past_a_bad_file_and_ends_with_one(
    package: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (folder / "1.png").write_bytes(b"")
    out = tmp_path / "rows.jsonl"
    assert command("predict", package, folder, "--out", out, monkeypatch=monkeypatch) == 1
    assert "1 error(s)" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 4
    assert command("predict", package, folder, "--out", out, monkeypatch=monkeypatch) == 1
    assert "--resume" in capsys.readouterr().err
    write_png(folder / "1.png", GOOD[0])
    resumed = ("predict", package, folder, "--out", out, "--resume")
    assert command(*resumed, monkeypatch=monkeypatch) == 0
    assert "3 kept from before" in capsys.readouterr().out
    failing = ("predict", package, folder / "gone.png", "--out", out, "--overwrite", "--fail-fast")
    assert command(*failing, monkeypatch=monkeypatch) == 1
    assert "No such file" in capsys.readouterr().err


def test_a_list_of_names_comes_from_standard_input(
    package: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{folder / '0.png'}\n{folder / 'spot.png'}\n"))
    out = tmp_path / "rows.csv"
    assert command("predict", package, "-", "--out", out, monkeypatch=monkeypatch) == 0
    assert len(RowFile(out).read()) == 2


def test_interrupted_says_how_to_go_on(
    package: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def stop(self: Any, images: ImageSource, **_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Predicting, "predictions", stop)
    out = tmp_path / "rows.csv"
    assert command("predict", package, folder, "--out", out, monkeypatch=monkeypatch) == 130
    assert "--resume" in capsys.readouterr().err
    assert RowFile(out).read() == []


def test_fit_calibrate_and_info_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for index, image in enumerate(GOOD):
        write_png(tmp_path / "good" / f"{index}.png", image)
    out, anew = tmp_path / "a.clflow", tmp_path / "b.clflow"
    small = ("--method", "padim", "--set", "image_size=64", "--false-alarm-rate", "0.05")
    assert command("fit", tmp_path, "--out", out, *small, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "cannot be promised by 8 held-out good image(s)" in said
    assert command("calibrate", out, tmp_path, "--out", anew, monkeypatch=monkeypatch) == 0
    assert "promises a false-alarm rate of 0.04, from 24 good images" in capsys.readouterr().out
    assert command("info", anew, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "padim on" in said
    assert str(clflow.load(anew).package_) in said
    assert command("fit", tmp_path, "--out", tmp_path / "good", monkeypatch=monkeypatch) == 1
    assert "holds other files" in capsys.readouterr().err
    wrong = ("fit", tmp_path, "--out", tmp_path / "c", "--set", "image_size")
    assert command(*wrong, monkeypatch=monkeypatch) == 1
    assert "KEY=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 3)])
def test_images_of_any_shape_are_scored(package: Path, size: tuple[int, int]) -> None:
    image: NDArray[np.uint8] = np.full((*size, 3), 100, np.uint8)
    found = clflow.load(package).predict(image)
    assert found.anomaly_map.shape == size
    assert np.isfinite(found.anomaly_map).all()
    assert found.remarks[0].startswith(f"size {size[1]}x{size[0]}, trained on 64x64")
    assert found.remarks[1] == "constant image, all its pixels are alike"
