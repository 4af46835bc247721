"""The front door: cheap to import; fit, save, load and predict; one clear error for bad input."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from flow_cases import grain, seeded, small_settings, spotted
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

import clflow
from clflow.data.given import GOOD_PLACES, good_images, several
from clflow.data.images import ArrayImages, FileImages, write_png
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.gaussian.detector import FydDetector
from clflow.detectors.nsa.detector import NSADetector
from clflow.detectors.saved import load_detector
from clflow.errors import ClflowError, DataError, NotFittedError, SettingsError
from clflow.synthesis.fresh import fresh_anomalies
from clflow.synthesis.settings import SynthesizeSettings

GOOD = grain(8, 0)
SMALL: dict[str, Any] = {"image_size": 64}
# a coarse grid has few locations to whiten
TRAINED: dict[str, Any] = {**SMALL, "grid": 8, "training": {"steps": 4, "batch_size": 4}}


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def padim() -> clflow.Detector:
    return clflow.fit(GOOD, method="padim", **SMALL)


@pytest.fixture
def saved(padim: clflow.Detector, tmp_path: Path) -> Path:
    padim.save(tmp_path / "model")
    return tmp_path / "model"


def test_import_brings_nothing_heavy() -> None:
    heavy = "torch numpy cv2 pydantic timm mlflow dvc pandas sklearn scipy"
    loaded = f"[name for name in {heavy.split()} if name in sys.modules]"
    found = run(f"import sys, clflow; clflow.__version__; dir(clflow); print({loaded})")
    assert found == "[]\n"


def test_a_detector_is_made_without_torch() -> None:
    assert run("import sys, clflow; clflow.Detector(); print('torch' in sys.modules)") == "False\n"


def test_names_of_the_front_door() -> None:
    assert set(clflow.__all__) == {
        "Detector",
        "Prediction",
        "__version__",
        "fit",
        "load",
        "to_frame",
    }
    assert set(clflow.__all__) <= set(dir(clflow))
    with pytest.raises(AttributeError, match="'clflow' has no attribute 'lode'"):
        clflow.lode  # noqa: B018


def test_version_of_a_tree_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", absent)
    monkeypatch.delitem(vars(clflow), "__version__", raising=False)
    assert clflow.__version__ == "0+unknown"
    monkeypatch.undo()
    vars(clflow).pop("__version__", None)
    assert clflow.__version__ == version("clflow")


def test_prediction_has_the_size_of_the_image(padim: clflow.Detector) -> None:
    image = np.full((40, 90, 3), 128, np.uint8)
    found = padim.predict(image)
    assert found.anomaly_map.shape == (40, 90)
    assert found.anomaly_map.dtype == np.float32
    assert repr(found) == (
        f"Prediction(score={found.score:.6g}, false_alarm_rate={found.false_alarm_rate:.3g}, "
        f"decision={found.decision!r}, {len(found.regions)} region(s), "
        "anomaly_map=float32 [40, 90])"
    )


def test_defects_score_higher_and_where_they_are(padim: clflow.Detector) -> None:
    (image,), mask = spotted(grain(1, 7))
    good, bad = padim.predict([grain(1, 8)[0], image])
    assert bad.score > 2 * good.score
    assert bad.anomaly_map[mask].mean() > bad.anomaly_map[~mask].mean()


def test_all_ways_to_hand_over_an_image_are_one(padim: clflow.Detector, tmp_path: Path) -> None:
    grey = GOOD[0][..., 0]
    write_png(tmp_path / "grey.png", grey)
    deep = tmp_path / "deep.png"
    cv2.imwrite(str(deep), grey.astype(np.uint16) * 257)
    colours = np.repeat(grey[..., None], 3, 2)
    ways: list[Any] = [
        grey,
        colours,
        grey.astype(np.uint16) * 257,
        str(tmp_path / "grey.png"),
        deep,
        colours[:, ::-1][:, ::-1],
    ]
    scores = {padim.predict(way).score for way in ways}
    assert len(scores) == 1
    assert len(set(padim.decision_function(ways)) | scores) <= 2


def test_one_image_gives_one_prediction_and_a_list_a_list(padim: clflow.Detector) -> None:
    assert isinstance(padim.predict(GOOD[0]), clflow.Prediction)
    for many in (GOOD[:2], tuple(GOOD[:2]), np.stack(GOOD[:2]), iter(GOOD[:2])):
        assert [type(each) for each in padim.predict(many)] == [clflow.Prediction] * 2  # type: ignore[call-overload]
    assert padim.predict([]) == []
    assert padim.decision_function([]).shape == (0,)


@pytest.mark.parametrize("method", ["clflow", "fastflow", "padim"])
def test_a_loaded_detector_predicts_the_same(method: str, tmp_path: Path) -> None:
    settings = SMALL if method == "padim" else TRAINED
    fitted = clflow.fit(GOOD, method=method, seed=3, **settings)
    fitted.save(tmp_path / "model")
    loaded = clflow.load(str(tmp_path / "model"))
    assert (loaded.method, loaded.seed) == (method, 3)
    one, two = (each.predict(GOOD[1]) for each in (fitted, loaded))
    assert one.score == two.score
    np.testing.assert_array_equal(one.anomaly_map, two.anomaly_map)
    loaded.save(tmp_path / "again")
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_the_seed_decides() -> None:
    one, two, other = (clflow.fit(GOOD, seed=seed, **TRAINED) for seed in (1, 1, 2))
    scores = [each.decision_function(GOOD[:2]).tolist() for each in (one, two, other)]
    assert scores[0] == scores[1] != scores[2]


def test_global_state_is_left_as_it_was() -> None:
    state, mode = torch.random.get_rng_state(), torch.get_deterministic_debug_mode()
    clflow.fit(GOOD, method="fastflow", **TRAINED).predict(GOOD[0])
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_deterministic_debug_mode() == mode


def test_training_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    clflow.fit(GOOD, **TRAINED)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_anomalies_lie_on_the_images_they_name() -> None:
    files = ArrayImages(GOOD)
    with fresh_anomalies(files, SynthesizeSettings(image_size=64)) as fresh:
        data = fresh.data
        assert data.anomalies is not None
        assert len(data.anomalies.images) > 16
        for index, source in enumerate(data.anomalies.sources):
            outside = ~data.anomalies.masks(index)
            gaps = np.abs(np.stack(GOOD).astype(int) - data.anomalies.images[index])
            assert gaps[:, outside].mean((1, 2)).argmin() == source


@pytest.mark.parametrize("place", GOOD_PLACES)
def test_good_images_of_a_folder_are_found(place: str, tmp_path: Path) -> None:
    for name in ("b.png", "a.png", "c.PNG"):
        write_png(tmp_path / place / name, GOOD[0])
    write_png(tmp_path / "test" / "scratch" / "d.png", GOOD[0])
    (tmp_path / place / "notes.txt").write_text("no image")
    (tmp_path / place / ".hidden.png").write_bytes(b"")
    found = good_images(tmp_path)
    assert isinstance(found, FileImages)
    assert [path.name for path in found.paths] == ["a.png", "b.png", "c.PNG"]


def test_a_folder_and_a_list_of_its_files_train_alike(tmp_path: Path) -> None:
    for index, image in enumerate(GOOD):
        write_png(tmp_path / f"{index}.png", image)
    names = {"dataset": "given", "category": "images"}
    scores = [
        clflow.Detector(settings=TRAINED).fit(way, **names).predict(GOOD[0]).score  # type: ignore[arg-type]
        for way in (tmp_path, sorted(tmp_path.iterdir()))
    ]
    assert scores[0] == scores[1]


BAD: list[tuple[Any, str]] = [
    (np.zeros((4, 4, 3), np.float32), "image 0 has float32 pixels"),
    (np.zeros((4, 4, 3), bool), "image 0 has bool pixels"),
    (np.zeros((4, 4, 4), np.uint8), r"image 0 has the shape \[4, 4, 4\]"),
    (np.zeros((0, 4), np.uint8), r"image 0 has the shape \[0, 4\]"),
    (np.zeros(4, np.uint8), r"image 0 has the shape \[4\]"),
    ([GOOD[0], None], "image 1 is a NoneType"),
    ([[1, 2]], "image 0 is a list"),
    (5, "int is no image"),
    (None, "NoneType is no image"),
    ("no such.png", "no such file"),
    ([GOOD[0], "no such.png"], "no such file"),
    (".", "is a folder, not an image"),
]


@pytest.mark.parametrize(("images", "complaint"), BAD)
def test_what_is_no_image_is_one_clear_error(
    padim: clflow.Detector, images: Any, complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        padim.predict(images)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_file_that_is_no_image_is_one_clear_error(
    padim: clflow.Detector, content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "part.png"
    if content is None:
        write_png(path, GOOD[0])
        content = path.read_bytes()[:100]
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"part\.png"):
        padim.predict(path)


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        ([], "0 good image"),
        (GOOD[:1], "1 good image"),
        (GOOD[0], "single image"),
        ("no such folder", "does not exist"),
        (__file__, "is a file"),
        (Path(__file__).parent, "no image in"),
    ],
)
def test_what_cannot_be_learned_from_is_one_clear_error(images: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        clflow.fit(images, method="padim")


@budget(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans()), max_size=4
    )
)
def test_images_of_any_size_are_taken(shapes: list[tuple[int, int, bool, bool]]) -> None:
    arrays = [
        np.zeros((h, w, 3) if colour else (h, w), np.uint16 if deep else np.uint8)
        for h, w, colour, deep in shapes
    ]
    found = several(arrays)
    assert len(found) == len(shapes)
    for index, (height, width, *_) in enumerate(shapes):
        assert found[index].shape == (height, width, 3)
        assert found[index].dtype == np.uint8


def test_asked_before_fit_is_one_clear_error(tmp_path: Path) -> None:
    detector = clflow.Detector()
    for ask in (
        lambda: detector.predict(GOOD[0]),
        lambda: detector.decision_function(GOOD),
        lambda: detector.save(tmp_path / "model"),
    ):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask()
    assert issubclass(NotFittedError, ClflowError)
    assert issubclass(NotFittedError, ValueError)
    assert issubclass(NotFittedError, AttributeError)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [FlowDetector, FydDetector, NSADetector])
def test_detectors_of_a_method_have_defaults_and_say_when_not_fitted(
    kind: Any, tmp_path: Path
) -> None:
    detector = kind(device="cpu")
    assert detector.device == torch.device("cpu")
    for images in (ArrayImages(GOOD), ArrayImages([])):
        with pytest.raises(NotFittedError, match=f"{kind.__name__} is not fitted"):
            detector.score(images)
    with pytest.raises(NotFittedError):
        detector.save(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"method": "clfow"}, "did you mean 'clflow'"),
        ({"settings": {"trianing": {}}}, "trianing: unknown key; did you mean 'training'"),
        ({"settings": {"training": {"steps": 0}}}, r"training\.steps.*it is 0"),
        ({"settings": 5}, "settings are 5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": True}, "seed is True"),
        ({"seed": None}, "seed is None"),
    ],
)
def test_wrong_arguments_are_named_at_once(arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        clflow.Detector(**arguments)


def test_an_unusable_device_is_named() -> None:
    with pytest.raises(SettingsError, match="device='gpu9' is no usable device"):
        clflow.fit(GOOD, method="padim", device="gpu9", **SMALL)


def damaged(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what was done to a model's folder, and what is said of it."""
    description = json.loads((folder / "model.json").read_text())

    def write(**changes: Any) -> None:
        content = {k: v for k, v in (description | changes).items() if v is not None}
        (folder / "model.json").write_text(json.dumps(content))

    for name in ("method", "version", "seed", "settings"):
        write(**{name: None})
        yield f"no {name}", f"does not say its {name}"
    write(method="bright")
    yield "unknown method", "there is no method 'bright'"
    write(version="99.0")
    yield "newer version", r"clflow 99\.0 wrote it"
    write(settings={"image_size": 64})
    yield "other settings", "cannot be read"
    write(channels=[0])
    yield "other channels", "cannot be read"
    for text in ("", "{", "[]", "null", "\xff"):
        (folder / "model.json").write_text(text, encoding="latin-1")
        yield f"content {text!r}", "cannot be read"
    write()
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:-10], whole[:5], b""):
        weights.write_bytes(content)
        yield f"{len(content)} bytes", "cannot be read"
    weights.unlink()
    yield "no weights", "cannot be read"
    (folder / "failed.json").write_text('{"failure": "it diverged"}')
    yield "failed", r"training failed \(it diverged\)"
    (folder / "failed.json").write_text("{}")
    yield "failed and damaged", "does not say why"
    shutil.rmtree(folder)
    yield "removed", "does not exist"
    folder.mkdir()
    yield "empty", "holds no model"
    write_png(folder / "seed-0" / "model.json", GOOD[0])
    yield "a folder above", "did you mean its folder 'seed-0'"
    shutil.rmtree(folder)
    folder.write_text("")
    yield "a file", "is a file"


def test_what_cannot_be_loaded_is_one_clear_error(saved: Path) -> None:
    seen = 0
    for seen, (what, complaint) in enumerate(damaged(saved), start=1):  # noqa: B007
        with pytest.raises(DataError) as raised:
            load_detector(saved)
        assert re.search(complaint, str(raised.value)), (what, str(raised.value))
    assert seen > 20


def test_other_files_are_never_replaced(padim: clflow.Detector, saved: Path) -> None:
    padim.save(saved)
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match="holds other files"):
        padim.save(saved)
    with pytest.raises(DataError, match="is a file"):
        padim.save(saved / "notes.txt")
    assert (saved / "notes.txt").read_text() == "mine"


def test_a_model_without_a_package_says_what_to_do(tmp_path: Path) -> None:
    detector = FlowDetector(small_settings("fastflow"), method="fastflow")
    detector.fit(_grain_data(), seeded(5)).save(tmp_path)
    with pytest.raises(DataError, match=r"without package\.json.*train again"):
        clflow.load(tmp_path)


def _grain_data() -> Any:
    from clflow.synthesis.training_data import TrainingData

    return TrainingData(ArrayImages(GOOD))
