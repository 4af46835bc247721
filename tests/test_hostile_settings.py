"""A params.yaml that is too deep, too large once written out, or names files that are not there."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel, Field
from ruamel.yaml import YAML

from clflow.errors import SettingsError
from clflow.features.weights import local_weights
from clflow.pipeline.given_files import check_files
from clflow.pipeline.params import check_params
from clflow.settings import problems_of, read_params

ROOT = Path(__file__).parents[1]
BOMB = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("x: " + "[" * 20_000 + "]" * 20_000, "nested too deeply", id="lists"),
        pytest.param("x: " + "{a: " * 20_000 + "1" + "}" * 20_000, "nested too deeply", id="maps"),
        pytest.param(BOMB, "comes to 12,345,679,", id="bomb"),
        pytest.param("x: &x [*x]", "means a value that holds it", id="itself"),
        pytest.param("x: &x {y: {z: *x}}", "means a value that holds it", id="itself in a map"),
    ],
)
def test_hostile_yaml_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "params.yaml").write_text(text + "\n")
    with pytest.raises(SettingsError, match=message) as caught:
        read_params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_aliases_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("a: &a {x: 1}\nb: *a\nc: [*a, *a]\n")
    assert read_params(tmp_path / "params.yaml")["c"] == [{"x": 1}, {"x": 1}]


class Items(BaseModel):
    """A list that must hold something."""

    items: tuple[int, ...] = Field(min_length=1)


def test_a_wrong_item_is_not_a_missing_one_too() -> None:
    assert len(problems_of(Items, {"items": ["x"]})) == 1
    assert len(problems_of(Items, {"items": []})) == 1


def params(**changes: Any) -> Any:
    values = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    for name, value in changes.items():
        section, _, key = name.partition("__")
        values[section][key] = value
    return check_params(values)


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_missed_in_the_repository_s_own_settings() -> None:
    check_files(params())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"train__fastflow": {"backbone": {"weights": "gone.pth"}}},
            r"train\.fastflow\.backbone\.weights: .*'gone.pth': no such file",
            id="weights",
        ),
        pytest.param({"download__archive": "gone.zip"}, "download.archive: no such", id="archive"),
        pytest.param({"synthesize__textures": "gone"}, "'gone' holds no image", id="textures"),
        pytest.param(
            {
                "study__source": "folder",
                "study__categories": {"nut": "gone/nut"},
                "cost__category": "nut",
            },
            r"study\.categories\.nut: no such folder \(it is 'gone/nut'\)",
            id="category",
        ),
    ],
)
def test_files_that_are_not_there_are_told(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_files(params(**changes))


@pytest.mark.parametrize(
    "content", [b"root:x:0:0\n", b"", b"PK\x03\x04 no archive", b"\x80\x02.", b"\x80\x02}q\0."]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ""])
def test_files_that_are_no_weights_are_one_error(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"passwd{suffix}"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"passwd.* (cannot be read|must map)"):
        local_weights(path, None)


def test_weights_are_still_read(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(2)}, tmp_path / "w.pth")
    torch.save({"a": torch.ones(2)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("w.pth", "old.pth"):
        assert local_weights(tmp_path / name, None)["a"].tolist() == [1, 1]
