"""The runtime finds the poses that the detector does, and turns images and maps alike."""

import cv2
import numpy as np
import pytest
import torch
from export_cases import gaussian_detector, parts
from hypothesis import given
from hypothesis import strategies as st

from clflow.alignment.posed import restored as torch_restored
from clflow.alignment.registration import Registration as TorchRegistration
from clflow.alignment.warp import warp, warp_images
from clflow.data.turning import turned_images
from clflow.export.registration import registration_arrays
from clflow.runtime import sampling
from clflow.runtime.registration import Registration, similarity

POSES = st.tuples(st.floats(-3.2, 3.2), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))


def theta_of(pose: tuple[float, float, float]) -> np.ndarray:
    return similarity(np.array([pose], np.float32)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> TorchRegistration:
    alignment = gaussian_detector("fyd", registered=True).alignment_
    assert alignment is not None
    (registration,) = alignment.steps
    assert isinstance(registration, TorchRegistration)
    return registration


def test_poses_are_those_of_the_detector(fitted: TorchRegistration) -> None:
    images = np.stack(parts(12, 5))
    grey = torch.from_numpy(images).permute(0, 3, 1, 2).float().mean(1, keepdim=True) / 255
    with torch.no_grad():
        expected = fitted(grey).numpy()
    found = Registration(registration_arrays(fitted))(images)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-4


def test_a_batch_finds_what_each_image_does(fitted: TorchRegistration) -> None:
    images, registration = np.stack(parts(3, 5)), Registration(registration_arrays(fitted))
    alone = np.concatenate([registration(image[None]) for image in images])
    assert np.allclose(registration(images), alone, atol=1e-5)


@pytest.mark.parametrize("border", ["zeros", "border"])
@pytest.mark.parametrize("exact", [True, False], ids=["OpenCV", "numpy"])
@given(pose=POSES, seed=st.integers(0, 99))
def test_images_are_sampled_as_by_torch(
    border: str, exact: bool, pose: tuple[float, float, float], seed: int
) -> None:
    image = np.random.default_rng(seed).normal(size=(9, 12)).astype(np.float32)
    theta = theta_of(pose)
    expected = warp(
        torch.from_numpy(image)[None, None], torch.from_numpy(theta), 16, padding=border
    )
    flag = cv2.BORDER_CONSTANT if border == "zeros" else cv2.BORDER_REPLICATE
    x = sampling.along(theta[0, 0], sampling.centres(16), 12)
    y = sampling.along(theta[0, 1], sampling.centres(16), 9)
    if exact and not sampling.exact_remap():
        pytest.skip("this OpenCV rounds places to 1/32 of a pixel")
    interpolate = sampling.remapped if exact else sampling.interpolated
    assert np.abs(interpolate(image, x, y, flag) - expected[0, 0].numpy()).max() < 2e-5


@given(pose=POSES)
def test_maps_are_turned_back_as_by_the_detector(pose: tuple[float, float, float]) -> None:
    image, theta = np.random.default_rng(0).random((8, 8), np.float32), theta_of(pose)
    expected = torch_restored(torch.from_numpy(image)[None], torch.from_numpy(theta), 20)
    assert np.abs(sampling.restored(image, theta[0], 20) - expected[0].numpy()).max() < 2e-5


@pytest.mark.parametrize("padding", ["border", "reflection"])
def test_images_are_turned_as_by_the_detector(padding: str) -> None:
    images = np.stack(parts(3, 1))
    theta = similarity(np.array([[0, 0, 0], [0.3, 0.1, 0], [2, -0.1, 0.2]], np.float32))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = warp_images(pixels, torch.from_numpy(theta), padding).permute(0, 2, 3, 1)
    assert np.array_equal(turned_images(images, theta, padding), expected.numpy())
    assert np.array_equal(turned_images(images, theta, padding)[0], images[0])
