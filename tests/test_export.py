"""Exports decide as their detectors, in either engine, and need no torch."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_cases import flow_detector, gaussian_detector, scored_images
from nsa_detector_cases import small_settings as small_nsa

from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.nsa.detector import NSADetector
from clflow.errors import DataError, NotFittedError, SettingsError
from clflow.export.levels import Levels
from clflow.export.parity import Parity, compare
from clflow.export.writing import PARITY, export_detector
from clflow.runtime import Engine
from clflow.runtime.description import ARRAYS, DESCRIPTION

pytest.importorskip("onnx", reason="the extra `export` is not installed")
pytest.importorskip("onnxscript", reason="the extra `export` is not installed")

PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}
ENGINES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed"),
    )
    for name, package in PACKAGES.items()
]
MADE: dict[str, Callable[[], Any]] = {
    "clflow": flow_detector,
    "clflow registered": lambda: flow_detector(registered=True),
    "fastflow": lambda: flow_detector("fastflow"),
    "padim": lambda: gaussian_detector("padim"),
    "fyd registered": lambda: gaussian_detector("fyd", registered=True),
}


def write(detector: Any, folder: Path, engine: Any = "onnx", **options: Any) -> Path:
    export_detector(detector, folder, engine, **options)
    return folder


@pytest.fixture(scope="module", params=MADE)
def case(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, MADE[request.param]()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(flow_detector(), tmp_path_factory.mktemp("export") / "plain")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_export_scores_as_the_detector(
    case: tuple[str, Any], engine: Any, tmp_path: Path
) -> None:
    name, detector = case
    images = scored_images("registered" in name)
    scorer = Engine(write(detector, tmp_path / "out", engine), threads=1)
    assert scorer.description.registered == ("registered" in name)
    found = compare(detector, scorer, images)
    assert found.passed, found.failures()
    scores, maps = scorer.score(images)
    assert scores.dtype == maps.dtype == np.float32
    assert maps.shape == (len(images), 64, 64)
    for count in (1, 3):
        some_scores, some_maps = scorer.score(images[:count])
        assert np.allclose(some_scores, scores[:count], atol=1e-4 * found.spread)
        assert np.allclose(some_maps, maps[:count], atol=1e-3 * found.spread)


def test_an_image_that_keeps_its_shape_has_a_graph_of_its_own(tmp_path: Path) -> None:
    detector = flow_detector("fastflow", aspect="keep")
    wide = [np.repeat(image, 2, axis=1) for image in scored_images(registered=False)]
    engine = Engine(write(detector, tmp_path / "out", shapes=[(64, 128)]), threads=1)
    assert len(engine.description.graphs) == 2
    mixed = [*wide, *scored_images(registered=False)]
    found = compare(detector, engine, mixed)
    assert found.passed, found.failures()
    with pytest.raises(DataError, match=r"seen as \d+x\d+ .* graphs of 48x85, 64x64"):
        engine.score([np.zeros((128, 64, 3), np.uint8)])


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "timm", "pydantic", "pandas", "scipy", "sklearn"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
import numpy as np
from clflow.runtime import Engine

scores, maps = Engine(sys.argv[1]).score(list(np.load(sys.argv[2])))
np.savez(sys.argv[3], scores=scores, maps=maps)
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_the_runtime_needs_no_torch(engine: Any, tmp_path: Path) -> None:
    detector = gaussian_detector("fyd", registered=True)
    folder = write(detector, tmp_path / "out", engine)
    images = np.stack(scored_images(registered=True))
    np.save(tmp_path / "images.npy", images)
    arguments = [folder, tmp_path / "images.npy", tmp_path / "found.npz"]
    subprocess.run([sys.executable, "-c", BLOCKED, *map(str, arguments)], check=True)
    scores, maps = Engine(folder).score(list(images))
    with np.load(tmp_path / "found.npz") as found:
        assert np.allclose(found["scores"], scores, rtol=1e-4)
        assert np.allclose(found["maps"], maps, rtol=1e-3, atol=1e-3)


def test_importing_the_runtime_imports_no_engine() -> None:
    program = (
        "import sys, clflow.runtime.engine;"
        "print([name for name in ('onnxruntime', 'openvino', 'torch') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"method 'nsa' cannot be exported \(yet\): only flows"):
        export_detector(NSADetector(small_nsa()), tmp_path / "out")
    unfitted = FlowDetector(flow_detector().settings)
    with pytest.raises(NotFittedError, match="fit it first"):
        export_detector(unfitted, tmp_path / "out")
    fitted: Any = "tflite"
    with pytest.raises(SettingsError, match="'tflite' is unknown: allowed are onnx and openvino"):
        export_detector(unfitted, tmp_path / "out", fitted)
    assert not (tmp_path / "out").exists()


def test_what_was_compared_is_written(tmp_path: Path) -> None:
    detector, images = gaussian_detector("padim"), scored_images(registered=False)
    found = export_detector(detector, tmp_path / "out", images=images, threshold=0.0)
    assert found == compare(detector, Engine(tmp_path / "out"), images, threshold=0.0)
    assert json.loads((tmp_path / "out" / PARITY).read_text()) == found.as_dict()


def test_an_export_that_scores_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "clflow.export.levels.Levels.forward", lambda self, pixels: blind(self, pixels)
    )
    with pytest.raises(DataError, match="does not score as the detector: scores differ by up to"):
        export_detector(
            gaussian_detector("padim"), tmp_path / "out", images=scored_images(registered=False)
        )
    assert not list(tmp_path.iterdir())


def blind(levels: Levels, pixels: torch.Tensor) -> list[torch.Tensor]:
    """Return features of images whose blue was forgotten."""
    images = pixels.permute(0, 3, 1, 2).float() * torch.tensor([1.0, 1.0, 0.0])[:, None, None]
    return list(levels.network((images - levels.mean) / levels.std))


def test_other_files_are_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files than those of an export"):
        write(gaussian_detector("padim"), tmp_path)
    with pytest.raises(DataError, match="is a file: give a new folder"):
        write(gaussian_detector("padim"), tmp_path / "notes.txt")


def test_an_empty_list_has_no_scores(exported: Path) -> None:
    scores, maps = Engine(exported).score([])
    assert scores.shape == (0,)
    assert maps.shape == (0, 64, 64)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((8, 8), np.uint8), r"image 0 is uint8 of shape \(8, 8\): give uint8 arrays"),
        (np.zeros((8, 8, 3), np.float32), r"image 0 is float32 of shape"),
        (np.zeros((0, 8, 3), np.uint8), r"of shape \(0, 8, 3\)"),
    ],
)
def test_an_array_that_is_no_image_is_refused(exported: Path, image: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Engine(exported).score([image])


def test_a_constant_image_and_a_pixel_are_scored(exported: Path) -> None:
    images = [np.zeros((64, 64, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)]
    assert np.isfinite(Engine(exported).score(images)[0]).all()


def changed(folder: Path, copy: Path, **values: Any) -> Path:
    """Return a copy of an export whose description is changed."""
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    content = json.loads((copy / DESCRIPTION).read_text())
    (copy / DESCRIPTION).write_text(json.dumps(content | values))
    return copy


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"format": 99, "clflow": "9.0"}, "is of format 99, .* install clflow 9.0"),
        ({"graphs": {"64x64": "../detector.onnx"}}, "is no file of the folder"),
        ({"graphs": {"64x64": "absent.onnx"}}, "absent.onnx is missing"),
        ({"graphs": {}}, "it names no graph"),
        ({"engine": "tflite"}, "engine 'tflite', allowed are onnx and openvino"),
        ({"registered": True}, f"{ARRAYS} is missing"),
        ({"unknown": 1}, "is damaged"),
    ],
)
def test_a_damaged_description_is_said(
    exported: Path, tmp_path: Path, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        Engine(changed(exported, tmp_path / "copy", **values))


def test_a_damaged_graph_is_said(exported: Path, tmp_path: Path) -> None:
    folder = changed(exported, tmp_path / "copy")
    (folder / "detector-64x64.onnx").write_bytes(b"no graph")
    with pytest.raises(DataError, match=r"the graph .* cannot be read .* damaged"):
        Engine(folder).score([np.zeros((64, 64, 3), np.uint8)])
    (folder / DESCRIPTION).write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        Engine(folder)
    with pytest.raises(DataError, match="holds no exported detector"):
        Engine(tmp_path)
    with pytest.raises(DataError, match="is no folder"):
        Engine(tmp_path / "absent")


def test_parity_fails_by_a_difference_or_a_flipped_decision() -> None:
    same = Parity(9, 0.0, 0.0, 0.0, 1.0, 0.5, 0)
    assert same.passed
    assert same.as_dict()["passed"]
    for difference in (0.002, float("nan")):
        far = Parity(9, difference, 0.0, difference, 1.0, None, 0)
        scores, maps = far.failures()
        assert scores.startswith("scores differ by up to")
        assert maps.startswith("maps differ by")
    flipped = Parity(9, 0.0, 0.0, 0.0, 1.0, 0.5, 2)
    assert flipped.failures() == ["2 of 9 decisions differ"]


def test_parity_counts_decisions_that_flip(exported: Path) -> None:
    detector, images = flow_detector(), scored_images(registered=False)
    scores, _ = Engine(exported).score(images)
    found = compare(detector, Engine(exported), images, threshold=float(np.median(scores)))
    assert (found.flipped, found.images) == (0, len(images))
    with pytest.raises(DataError, match="1 images tell nothing of a spread"):
        compare(detector, Engine(exported), images[:1])
