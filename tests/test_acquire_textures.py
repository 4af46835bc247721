"""Textures through the download stage: verified, unpacked, removed again."""

import json
import shutil
from pathlib import Path

import pytest
from mirrors import Server, running_server

from clflow.data.catalog import Archive, load_textures
from clflow.errors import DownloadError, SettingsError
from clflow.files import sha256_of
from clflow.pipeline import acquire as module
from clflow.pipeline.acquire import acquire_textures
from clflow.synthesis.textures import TEXTURES


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


def offered(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, altered: bool
) -> None:
    """Offer an archive in the layout of DTD in place of the real one."""
    folder = tmp_path / "packed/dtd/images/banded"
    folder.mkdir(parents=True)
    (folder / "banded_0001.jpg").write_bytes(b"pixels")
    (tmp_path / "packed/dtd/labels.txt").write_text("left out")
    packed = Path(shutil.make_archive(str(tmp_path / "tiny"), "gztar", tmp_path / "packed"))
    content = packed.read_bytes()
    url = server.add("tiny.tar.gz", content + b"!" if altered else content)
    real = load_textures("dtd").model_dump()
    replaced = {"urls": (url,), "archive": "tiny.tar.gz", "sha256": sha256_of(packed)}
    tiny = Archive(**real | replaced)
    monkeypatch.setattr(module, "load_textures", lambda _: tiny)


def test_textures_are_fetched_with_their_licence_shown_and_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_server() as server:
        offered(server, tmp_path, monkeypatch, altered=False)
        acquire_textures("dtd")
    assert [p.name for p in TEXTURES.rglob("*") if p.is_file()] == [
        "source.json",
        "banded_0001.jpg",
    ]
    assert "licence for research purposes" in capsys.readouterr().out
    assert json.loads((TEXTURES / "source.json").read_text())["origin"] == "archive"
    acquire_textures("none")
    assert [p.name for p in TEXTURES.rglob("*")] == ["source.json"]


def test_altered_textures_are_refused_and_leave_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server() as server:
        offered(server, tmp_path, monkeypatch, altered=True)
        with pytest.raises(DownloadError, match="sha256"):
            acquire_textures("dtd")
    assert not TEXTURES.exists()


def test_the_catalog_holds_dtd_with_hash_and_licence() -> None:
    dtd = load_textures("dtd")
    assert len(set(dtd.sha256)) > 8  # not a placeholder
    assert "research" in dtd.licence
    with pytest.raises(SettingsError, match="dtd"):
        load_textures("dtt")
