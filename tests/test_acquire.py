import json
import shutil
from pathlib import Path

import pytest
from builders import mvtec_category

from clflow.data.catalog import Dataset
from clflow.data.demo.render import DemoSettings
from clflow.data.settings import DownloadSettings
from clflow.errors import DataError, DownloadError, SettingsError
from clflow.files import sha256_of
from clflow.pipeline import acquire as module
from clflow.pipeline.acquire import acquire

DEMO = DemoSettings(categories=("weave",), image_size=64, train=2, test_good=1, per_defect=1)
TINY = DownloadSettings(demo_seed=3, demo=DEMO)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def fetch(dataset: str, settings: DownloadSettings, *own: str) -> None:
    acquire(dataset, [Path(folder) for folder in own], settings)


def record(dataset: str) -> Path:
    return Path("data/raw", dataset, "source.json")


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the archive of a data set `tiny`, the only one of the catalog."""
    mvtec_category(tmp_path / "packed/top", train=2, good=1)
    path = Path(shutil.make_archive(str(tmp_path / "tiny"), "zip", tmp_path / "packed"))
    tiny = Dataset(
        name="tiny",
        title="Tiny",
        urls=("http://127.0.0.1:1/tiny.zip",),
        archive="tiny.zip",
        sha256=sha256_of(path),
        size=path.stat().st_size,
        licence="CC0",
        citation="none",
        homepage=None,
        layout="mvtec_ad",
        top_folder="top",
        categories=("widget",),
    )
    monkeypatch.setattr(module, "dataset_names", lambda: ("tiny",))
    monkeypatch.setattr(module, "load_dataset", lambda name: {"tiny": tiny}[name])
    return path


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_demo_is_rendered_and_recorded() -> None:
    fetch("demo", TINY)
    assert Path("data/raw/demo/images/weave/train/good/001.png").is_file()
    expected = {"origin": "rendered", "seed": 3} | DEMO.model_dump(mode="json")
    assert json.loads(record("demo").read_text()) == expected


def test_demo_and_its_record_are_repeatable() -> None:
    fetch("demo", TINY)
    first = files(Path("data/raw/demo"))
    fetch("demo", TINY)
    assert files(Path("data/raw/demo")) == first


def test_another_demo_leaves_nothing_of_the_last() -> None:
    fetch("demo", TINY)
    before = record("demo").read_bytes()
    changed = DEMO.model_copy(update={"categories": ("bolt",)})
    fetch("demo", DownloadSettings(demo_seed=3, demo=changed))
    assert [path.name for path in Path("data/raw/demo/images").iterdir()] == ["bolt"]
    assert record("demo").read_bytes() != before


def test_local_archive_is_verified_and_unpacked(archive: Path, tmp_path: Path) -> None:
    fetch("tiny", DownloadSettings(archive=str(archive)))
    assert files(Path("data/raw/tiny/images")) == files(tmp_path / "packed/top")
    expected = {"origin": "archive", "sha256": sha256_of(archive), "licence": "CC0"}
    assert json.loads(record("tiny").read_text()) == expected


def test_record_does_not_tell_where_an_archive_was(archive: Path, tmp_path: Path) -> None:
    fetch("tiny", DownloadSettings(archive=str(archive)))
    first = record("tiny").read_bytes()
    moved = tmp_path / "elsewhere.zip"
    archive.rename(moved)
    fetch("tiny", DownloadSettings(archive=str(moved)))
    assert record("tiny").read_bytes() == first


def test_archive_in_its_place_is_used_without_a_download(archive: Path) -> None:
    place = Path("data/archives/tiny.zip")
    place.parent.mkdir(parents=True)
    archive.rename(place)
    fetch("tiny", DownloadSettings())
    assert Path("data/raw/tiny/images/widget/train/good/000.png").is_file()


def test_altered_archive_leaves_the_finished_data_set_alone(archive: Path) -> None:
    fetch("tiny", DownloadSettings(archive=str(archive)))
    before = files(Path("data/raw/tiny"))
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DownloadError, match="bytes instead of"):
        fetch("tiny", DownloadSettings(archive=str(archive)))
    assert files(Path("data/raw/tiny")) == before


@pytest.mark.parametrize("step", ["extract_archive", "write_json"])
def test_killed_unpacking_leaves_no_record(
    step: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = DownloadSettings(archive=str(archive))
    fetch("tiny", settings)
    with monkeypatch.context() as patch:
        patch.setattr(module, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch("tiny", settings)
    assert not record("tiny").exists()
    fetch("tiny", settings)
    assert record("tiny").is_file()


@pytest.mark.parametrize("step", ["render_demo", "write_json"])
def test_killed_rendering_leaves_no_record(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("demo", TINY)
    monkeypatch.setattr(module, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("demo", TINY)
    assert not record("demo").exists()


def test_own_folder_is_noted_and_only_read(tmp_path: Path) -> None:
    mvtec_category(tmp_path / "parts", train=1)
    before = files(tmp_path / "parts")
    fetch("parts", DownloadSettings(), "parts")
    assert json.loads(record("parts").read_text()) == {"origin": "folder"}
    assert files(tmp_path / "parts") == before


@pytest.mark.parametrize("root", ["absent", "params.yaml"])
def test_own_folder_must_exist(root: str) -> None:
    Path("params.yaml").touch()
    with pytest.raises(DataError, match=rf"study\.categories: '{root}' is no folder; give"):
        fetch("parts", DownloadSettings(), root)
    assert not record("parts").exists()


@pytest.mark.parametrize(
    "root",
    [
        pytest.param("{here}/data/raw/tiny/images", id="absolute"),
        pytest.param("data/raw/tiny/images/widget/..", id="detour"),
        pytest.param("elsewhere", id="elsewhere"),
    ],
)
def test_own_folder_never_costs_images_that_are_there(
    root: str, archive: Path, tmp_path: Path
) -> None:
    fetch("tiny", DownloadSettings(archive=str(archive)))
    Path("elsewhere").mkdir()
    before = files(Path("data/raw/tiny/images"))
    fetch("tiny", DownloadSettings(), root.format(here=tmp_path))
    assert files(Path("data/raw/tiny/images")) == before


def test_unknown_data_set_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"'mine' cannot be downloaded: known are btad, mvtec"):
        fetch("mine", DownloadSettings())
    assert not Path("data").exists()
