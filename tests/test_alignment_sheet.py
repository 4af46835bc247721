"""What the train stage shows of an alignment."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import SMALL as SMALL_FLOW
from flow_cases import grain
from fyd_cases import SIZE, SMALL, noisy, part, parts
from torch import Tensor

from clflow.alignment.sheet import alignment_sheet, write_sheet
from clflow.alignment.warp import identity, warp_images
from clflow.data.images import ArrayImages, read_image
from clflow.detectors.registry import find_method, merged
from clflow.pipeline.train import Material, Run, load_run, train_seeds
from clflow.synthesis.training_data import TrainingData

REGISTRATION = SMALL["image_alignment"]["registration"]
NO_NEGATIVES = {"classification": {"weight": 0.0}, "contrast": {"weight": 0.0}}
CHANGES: dict[str, dict[str, Any]] = {
    "fyd": merged(SMALL, {"density": {"grid": 8}}),
    "clflow": merged(
        merged(SMALL_FLOW, NO_NEGATIVES),
        {"grid": 8, "normalization": {"folds": 2}, "alignment": {"registration": REGISTRATION}},
    ),
}
GOOD = ArrayImages(parts(24))


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def train(method: str, images: ArrayImages, out: str = "models", **changes: Any) -> Path:
    """Train one seed as the stage does, and return its folder."""
    found = find_method(method)
    settings = found.complete(merged(CHANGES.get(method, {}), changes))
    run = Run("small", "mine", "part", found, settings, "manifest", "bank")
    train_seeds(run, Material(TrainingData(images)), [0], Path(out))
    return Path(out, "seed-0")


@dataclass
class Turning:
    """An alignment that turns all images upside down, and remembers how many it saw."""

    seen: int = 0

    def proposed(self, pixels: Tensor) -> Tensor:
        self.seen += len(pixels)
        return -identity(len(pixels))

    def warped(self, pixels: Tensor, theta: Tensor) -> Tensor:
        return warp_images(pixels, theta, "border")


@dataclass
class Aligned:
    """As much of a detector as the sheet looks at."""

    alignment_: Turning | None = field(default_factory=Turning)


@dataclass
class Counted:
    """Images that count how many of them are read."""

    images: ArrayImages
    read: list[int] = field(default_factory=list)

    @property
    def digests(self) -> tuple[str, ...]:
        return self.images.digests

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        self.read.append(index)
        return self.images[index]


@pytest.mark.parametrize("method", ["fyd", "clflow"])
def test_parts_are_seen_to_be_aligned(method: str) -> None:
    sheet = read_image(train(method, GOOD) / "alignment.png").astype(float)
    assert sheet.shape == (2 * 164, 9 * 164, 3)
    before, after = sheet[:160, :160], sheet[164:324, :160]
    # turned parts overlap in the middle only, aligned ones everywhere
    assert (after < 90).mean() > 2 * (before < 90).mean()


@pytest.mark.parametrize("method", ["fyd", "clflow"])
def test_the_sheet_of_a_run_is_the_same_again(method: str) -> None:
    one, other = (train(method, GOOD, out) / "alignment.png" for out in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("method", ["fyd", "clflow"])
def test_the_sheet_follows_from_the_saved_model(method: str) -> None:
    folder = train(method, GOOD)
    loaded = load_run(find_method(method), folder)
    Path("again").mkdir()
    write_sheet(loaded, GOOD, Path("again"))
    assert Path("again/alignment.png").read_bytes() == (folder / "alignment.png").read_bytes()


@pytest.mark.parametrize(
    ("method", "drawn"), [("fyd", True), ("clflow", False), ("padim", False), ("fastflow", False)]
)
def test_a_texture_has_a_sheet_only_where_the_refused_alignment_is_kept(
    method: str, drawn: bool
) -> None:
    small = CHANGES["fyd" if method in ("fyd", "padim") else "clflow"]
    own = {} if method in CHANGES else {"image_size": small["image_size"]}
    if method == "fastflow":
        own = dict(SMALL_FLOW)
    folder = train(method, ArrayImages(grain(12, 0)), **own)
    assert (folder / "model.json").is_file()
    assert (folder / "alignment.png").is_file() == drawn


def test_eight_images_are_read_and_aligned_and_no_more(tmp_path: Path) -> None:
    detector, images = Aligned(), Counted(ArrayImages(parts(40)))
    write_sheet(detector, images, tmp_path)  # type: ignore[arg-type]
    assert len(images.read) == 8
    assert (images.read[0], images.read[-1]) == (0, 39)
    assert detector.alignment_ is not None
    assert detector.alignment_.seen == 8


@pytest.mark.parametrize("count", [1, 3])
def test_few_images_make_a_narrow_sheet(count: int, tmp_path: Path) -> None:
    write_sheet(Aligned(), ArrayImages(parts(count)), tmp_path)  # type: ignore[arg-type]
    assert read_image(tmp_path / "alignment.png").shape == (2 * 164, (count + 1) * 164, 3)


def test_images_of_any_shape_are_shown_as_squares(tmp_path: Path) -> None:
    flat = ArrayImages([image[: SIZE // (1 + i)] for i, image in enumerate(parts(3))])
    write_sheet(Aligned(), flat, tmp_path)  # type: ignore[arg-type]
    assert read_image(tmp_path / "alignment.png").shape == (2 * 164, 4 * 164, 3)


@pytest.mark.parametrize("detector", [Aligned(None), object()], ids=["off", "other"])
def test_a_detector_without_an_alignment_has_no_sheet(detector: object, tmp_path: Path) -> None:
    write_sheet(detector, GOOD, tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_upper_row_is_as_it_came_and_the_lower_as_it_was_aligned() -> None:
    images = noisy([part(0.3, size=160), part(2.0, size=160)], 0)
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    sheet = alignment_sheet(pixels, Turning())
    cells = [[sheet[y : y + 160, x : x + 160] for x in (0, 164, 328)] for y in (0, 164)]
    (mean, *upper), (turned_mean, *lower) = cells
    for image, above, below in zip(images, upper, lower, strict=True):
        np.testing.assert_array_equal(above, image)
        np.testing.assert_array_equal(below, image[::-1, ::-1])
    np.testing.assert_array_equal(mean, np.stack(images).mean(0).round())
    np.testing.assert_array_equal(turned_mean, mean[::-1, ::-1])
