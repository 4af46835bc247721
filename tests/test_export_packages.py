"""An exported package decides as the package, without PyTorch, and is whole or one clear error."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flow_cases import grain, spotted

import clflow
from clflow.cli.main import main
from clflow.data.images import write_png
from clflow.decision.rows import RowFile
from clflow.errors import DataError, SettingsError
from clflow.export.package import export_package
from clflow.export.parity import Parity

pytest.importorskip("onnxruntime", reason="an export needs the extra `export`")
pytest.importorskip("onnxscript", reason="an export needs the extra `export`")

GOOD = grain(24, 0)
NEW = [*grain(3, 9), spotted(grain(1, 7))[0][0]]
SMALL: dict[str, Any] = {"image_size": 64}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package") / "part.clflow"
    mask = np.zeros((64, 64), bool)
    mask[:8] = True
    fitted = clflow.fit(GOOD, method="padim", false_alarm_rate=0.2, ignore=mask, **SMALL)
    fitted.save(folder)
    return folder


@pytest.fixture(scope="module")
def exported(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    parity = export_package(package, out)
    assert parity.passed
    assert parity.images == len(clflow.load(package).probes_) >= 16
    return out


def test_an_export_decides_as_its_package(package: Path, exported: Path) -> None:
    from clflow import runtime

    pairs = zip(clflow.load(package).predict(NEW), runtime.load(exported).predict(NEW), strict=True)
    for one, two in pairs:
        assert two.score == pytest.approx(one.score, rel=1e-4)
        assert (two.decision, len(two.regions)) == (one.decision, len(one.regions))
        assert (two.threshold, two.false_alarm_rate) == (one.threshold, one.false_alarm_rate)
        np.testing.assert_allclose(two.anomaly_map, one.anomaly_map, rtol=1e-3, atol=1e-2)
    content = json.loads((exported / "parity.json").read_text())
    assert content["passed"]
    assert content["flipped"] == 0


def test_an_export_runs_where_only_numpy_opencv_and_its_engine_are(
    package: Path, exported: Path, tmp_path: Path
) -> None:
    write_png(tmp_path / "new.png", NEW[-1])
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"torch", "timm", "pydantic", "pandas", "scipy", "sklearn"}}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from clflow import runtime
found = runtime.load({str(exported)!r}).predict({str(tmp_path / "new.png")!r})
print(found.score, found.decision, len(found.regions))
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    expected = clflow.load(package).predict(NEW[-1])
    assert float(said[0]) == pytest.approx(expected.score, rel=1e-4)
    assert said[1:] == ["anomalous", str(len(expected.regions))]


def test_a_changed_byte_of_an_export_is_named(exported: Path, tmp_path: Path) -> None:
    from clflow import runtime

    copy = tmp_path / "copy"
    copy.mkdir()
    for path in exported.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    for path in sorted(copy.iterdir()):
        whole = path.read_bytes()
        changed = bytearray(whole)
        changed[len(changed) // 2] ^= 1
        path.write_bytes(changed)
        with pytest.raises(DataError, match=path.name):
            runtime.load(copy)
        path.write_bytes(whole)
    runtime.load(copy)


def test_the_command_line_exports_and_predicts_by_an_export(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def command(*arguments: str | Path) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["clflow", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code

    for index, image in enumerate(NEW):
        write_png(tmp_path / "new" / f"{index}.png", image)
    out = tmp_path / "out"
    assert command("export", package, "--format", "onnx", "--out", out) == 0
    assert "images both ways" in capsys.readouterr().out
    assert command("predict", out, tmp_path / "new", "--out", tmp_path / "a.csv") == 0
    assert command("predict", package, tmp_path / "new", "--out", tmp_path / "b.csv") == 0
    one, two = (RowFile(tmp_path / name).read() for name in ("a.csv", "b.csv"))
    assert [row["decision"] for row in one] == [row["decision"] for row in two]
    assert command("export", package, "--out", tmp_path / "new") == 1
    assert "holds other files" in capsys.readouterr().err


def test_what_cannot_be_compared_is_not_written(package: Path, tmp_path: Path) -> None:
    detector = clflow.load(package)
    detector.probes_ = ()
    detector.save(tmp_path / "bare")
    with pytest.raises(DataError, match="--good"):
        export_package(tmp_path / "bare", tmp_path / "out")
    with pytest.raises(SettingsError, match="'tflite' is unknown"):
        export_package(package, tmp_path / "out", "tflite")  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_what_differs_is_not_written(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Parity, "failures", lambda self: ["1 of 32 decisions differ"])
    with pytest.raises(DataError, match="1 of 32 decisions differ"):
        export_package(package, tmp_path / "out")
    assert not (tmp_path / "out").exists()
