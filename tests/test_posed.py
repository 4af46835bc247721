"""A detector that sees parts in one pose and answers in the frame they came in."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flow_cases import grain, seeded, small_settings, training_data
from fyd_cases import SIZE, noisy, part, poses

from clflow.alignment.posed import fit_alignment, posed, posed_anomalies, restored
from clflow.data.images import ArrayImages
from clflow.detectors.flow.detector import FlowDetector
from clflow.synthesis.synthetic import component_boxes
from clflow.synthesis.training_data import SyntheticAnomalies, TrainingData

TURNED = {
    "alignment": {
        "kind": "registration",
        "registration": {"size": 64, "rounds": 1, "seeds": 4},
    }
}
SETTINGS = small_settings("clflow", image_size=SIZE, **TURNED)


def parts(count: int, seed: int) -> list[np.ndarray]:
    return noisy([part(*pose) for pose in poses(count, seed=seed)], seed)


def marked(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with a patch off its centre, and the patch's mask."""
    mask = np.zeros(image.shape[:2], bool)
    mask[SIZE // 8 : SIZE // 4, SIZE // 2 : 5 * SIZE // 8] = True
    return np.where(mask[..., None], 255 - image, image), mask


def widened(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return images twice as wide as high, of which averaging over areas makes the same squares."""
    return [np.repeat(image, 2, axis=1) for image in images]


def anomalies_of(good: list[np.ndarray]) -> SyntheticAnomalies:
    made = [marked(image) for image in good]
    return SyntheticAnomalies(
        images=ArrayImages([image for image, _ in made]),
        masks=lambda index: made[index][1],
        boxes=tuple(component_boxes(mask) for _, mask in made),
        sources=tuple(range(len(good))),
    )


def test_parts_in_any_pose_are_aligned_and_grain_is_not() -> None:
    assert fit_alignment(SETTINGS.alignment, ArrayImages(parts(12, 0)), SIZE, 0) is not None
    assert fit_alignment(SETTINGS.alignment, ArrayImages(grain(12, 0)), SIZE, 0) is None


def test_images_that_are_not_square_are_left_as_they_are_where_they_keep_their_shape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fit_alignment(SETTINGS.alignment, ArrayImages(widened(parts(12, 0))), SIZE, 0) is None
    assert "off: the images are not square" in capsys.readouterr().out


def test_images_that_are_not_square_are_aligned_as_the_squares_they_are_stretched_to() -> None:
    squares = parts(12, 0)
    found, wide = (
        fit_alignment(SETTINGS.alignment, ArrayImages(images), SIZE, 0, stretched=True)
        for images in (squares, widened(squares))
    )
    assert found is not None
    assert wide is not None
    expected = posed(found, ArrayImages(squares), SIZE, "")
    stretched = posed(wide, ArrayImages(widened(squares)), SIZE, "")
    assert torch.equal(stretched.theta, expected.theta)
    for index in range(len(squares)):
        np.testing.assert_array_equal(stretched.images[index], expected.images[index])


def test_textures_that_are_not_square_are_not_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    flat = ArrayImages([image[: SIZE // 2] for image in grain(12, 0)])
    assert fit_alignment(SETTINGS.alignment, flat, SIZE, 0, stretched=True) is None
    assert "off: distance between held-out good images" in capsys.readouterr().out


@pytest.mark.parametrize("images", [parts(12, 0), grain(12, 0)], ids=["parts", "grain"])
def test_square_images_are_aligned_alike_whether_others_were_stretched(
    images: list[np.ndarray],
) -> None:
    source = ArrayImages(images)
    kept, stretched = (
        fit_alignment(SETTINGS.alignment, source, SIZE, 0, stretched=flag) for flag in (False, True)
    )
    one, other = (posed(alignment, source, SIZE, "") for alignment in (kept, stretched))
    assert one.images.digests == other.images.digests
    if one.theta is None:
        assert other.theta is None
    else:
        assert torch.equal(one.theta, other.theta)


def test_masks_of_stretched_images_turn_with_them() -> None:
    good = parts(12, 0)
    squares = anomalies_of(good)
    masks = [widened([squares.masks(index).astype(np.uint8)])[0] > 0 for index in range(len(good))]
    negatives = replace(
        squares,
        images=ArrayImages(widened([squares.images[index] for index in range(len(good))])),
        masks=lambda index: masks[index],
    )
    source = ArrayImages(widened(good))
    alignment = fit_alignment(SETTINGS.alignment, source, SIZE, 0, stretched=True)
    turned, expected = (posed_anomalies(alignment, some, SIZE) for some in (negatives, squares))
    assert turned.images.digests == expected.images.digests
    for index in range(len(good)):
        mask, other = turned.masks(index), expected.masks(index)
        assert turned.boxes[index] == component_boxes(mask)
        # edges lie a part of a pixel apart: masks are not made squares before they are turned
        assert (mask & other).sum() > 0.8 * (mask | other).sum()


def test_without_alignment_nothing_is_touched() -> None:
    images, negatives = ArrayImages(grain(2, 0)), anomalies_of(parts(2, 0))
    found = posed(None, images, SIZE, "")
    assert found.images is images
    assert found.theta is None
    assert posed_anomalies(None, negatives, SIZE) is negatives
    maps = torch.rand(2, SIZE, SIZE)
    assert restored(maps, None) is maps


def test_masks_turn_with_their_anomalies() -> None:
    good = parts(12, 0)
    alignment = fit_alignment(SETTINGS.alignment, ArrayImages(good), SIZE, 0)
    negatives = anomalies_of(good)
    turned = posed_anomalies(alignment, negatives, SIZE)
    found = posed(alignment, negatives.images, SIZE, "")
    for index in range(len(good)):
        mask = turned.masks(index)
        assert turned.boxes[index] == component_boxes(mask)
        back = restored(torch.from_numpy(mask)[None].float(), found.theta[index : index + 1])
        overlap = (back[0].numpy() > 0.5) & negatives.masks(index)
        assert overlap.sum() > 0.7 * negatives.masks(index).sum()


def test_maps_are_in_the_frame_of_the_image(tmp_path: Path) -> None:
    good = parts(16, 0)
    data = TrainingData(ArrayImages(good), anomalies_of(good))
    detector = FlowDetector(SETTINGS).fit(data, seeded())
    assert detector.alignment_ is not None
    image, mask = marked(parts(1, 9)[0])
    maps = detector.score(ArrayImages([image])).anomaly_maps
    assert maps[0][mask].mean() > 2 * np.abs(maps[0][~mask]).mean()
    detector.save(tmp_path)
    again = FlowDetector.load(tmp_path).score(ArrayImages([image]))
    np.testing.assert_array_equal(again.anomaly_maps, maps)


def test_a_detector_that_does_not_align_loads_again(tmp_path: Path) -> None:
    detector = FlowDetector(small_settings("clflow")).fit(training_data(), seeded())
    detector.save(tmp_path)
    assert FlowDetector.load(tmp_path).alignment_ is None
