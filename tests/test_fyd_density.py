"""The Gaussian of each location against numpy, the embedding against a loop."""

import numpy as np
import pytest
import torch
from flow_cases import seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clflow.detectors.gaussian.density import LocationGaussian, choose_channels, embed
from clflow.detectors.gaussian.settings import DensitySettings
from clflow.errors import SettingsError


def density(**changes: float | bool | int | None) -> DensitySettings:
    values = {
        "channels": None,
        "grid": None,
        "standardise": False,
        "prior": 0.0,
        "epsilon": 0.01,
    }
    return DensitySettings.model_validate(values | changes)


def correlated(count: int, channels: int, size: tuple[int, int], seed: int) -> Tensor:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels))
    values = rng.normal(size=(count, *size, channels)) @ mixing + rng.normal(size=channels)
    return torch.from_numpy(values).permute(0, 3, 1, 2).float()


def slow_distances(good: Tensor, tested: Tensor, settings: DensitySettings) -> np.ndarray:
    """Return Mahalanobis distances [N, H, W], a location and an image at a time."""
    good64, tested64 = good.double().numpy(), tested.double().numpy()
    count, channels, height, width = good64.shape
    mean = good64.mean(0)
    scale = np.ones((channels, 1, 1))
    if settings.standardise:
        scale = (good64 - mean).std((0, 2, 3)).reshape(-1, 1, 1)
    residual = (good64 - mean) / scale
    moments = np.einsum("nchw,ndhw->hwcd", residual, residual) / (count - 1)
    shared = moments.mean((0, 1))
    weight = settings.prior * channels / (settings.prior * channels + count)
    distances = np.empty((len(tested64), height, width))
    for i in range(height):
        for j in range(width):
            shrunk = (1 - weight) * moments[i, j] + weight * shared
            inverse = np.linalg.inv(shrunk + settings.epsilon * np.eye(channels))
            for n, image in enumerate(tested64):
                x = ((image - mean) / scale)[:, i, j]
                distances[n, i, j] = np.sqrt(x @ inverse @ x)
    return distances


@settings(max_examples=15, deadline=None)
@given(
    st.integers(4, 30),
    st.integers(1, 6),
    st.tuples(st.integers(1, 13), st.integers(1, 13)),
    st.booleans(),
    st.sampled_from([0.0, 1.0, 1000.0]),
    st.integers(0, 100),
)
def test_distances_against_numpy(
    count: int, channels: int, size: tuple[int, int], standardise: bool, prior: float, seed: int
) -> None:
    chosen = density(standardise=standardise, prior=prior)
    good, tested = correlated(count, channels, size, seed), correlated(3, channels, size, seed + 1)
    ours = LocationGaussian(channels, size, chosen).fit(good)(tested).numpy()
    # factors are kept in half precision: 2^-11 of an entry, of the largest where they cancel
    slow = slow_distances(good, tested, chosen)
    np.testing.assert_allclose(ours, slow, rtol=0.02, atol=0.02 * slow.max())


def test_distance_of_independent_channels_is_that_of_their_z_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    good = torch.randn(4000, 2, 1, 1, generator=generator) * torch.tensor([1.0, 3.0])[:, None, None]
    fitted = LocationGaussian(2, (1, 1), density(epsilon=1e-6)).fit(good)
    tested = torch.tensor([[3.0, 0.0], [0.0, 9.0], [4.0, 9.0]])[..., None, None]
    distances = fitted(tested)[:, 0, 0].numpy()
    np.testing.assert_allclose(distances, [3, 3, 5], rtol=0.05)


def test_saved_gaussian_gives_the_same_distances() -> None:
    good = correlated(20, 4, (5, 5), 0)
    fitted = LocationGaussian(4, (5, 5), density(standardise=True)).fit(good)
    other = LocationGaussian(4, (5, 5), density(standardise=True))
    other.load_state_dict(fitted.state_dict())
    assert torch.equal(other(good), fitted(good))


def levels(count: int = 20) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((count, 2, 8, 8), (count, 3, 4, 4), (count, 1, 2, 2))
    return [rng.normal(size=shape).astype(np.float16) for shape in shapes]


def test_embedding_repeats_coarse_levels_and_keeps_the_finest() -> None:
    maps = levels()
    embedded = embed(maps, torch.arange(6), None).numpy()
    assert embedded.shape == (20, 6, 8, 8)
    np.testing.assert_array_equal(embedded[:, :2], maps[0])
    np.testing.assert_array_equal(embedded[:, 2:5], maps[1].repeat(2, 2).repeat(2, 3))
    np.testing.assert_array_equal(embedded[:, 5:], maps[2].repeat(4, 2).repeat(4, 3))


def test_embedding_averages_fine_levels_on_a_coarser_grid() -> None:
    maps = levels()
    embedded = embed(maps, torch.tensor([4, 0]), 4).numpy()
    np.testing.assert_array_equal(embedded[:, 0], maps[1][:, 2])
    averaged = maps[0][:, 0].astype(np.float32).reshape(20, 4, 2, 4, 2).mean((2, 4))
    np.testing.assert_allclose(embedded[:, 1], averaged, atol=2e-3)


def test_channels_are_distinct_and_follow_the_generator() -> None:
    chosen = density(channels=50)
    one, same, other = (choose_channels(100, chosen, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert len(set(one.tolist())) == 50
    assert torch.equal(choose_channels(7, density(), seeded()), torch.arange(7))


def test_more_channels_than_there_are_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="channels is 101, but the backbone's levels have 100"):
        choose_channels(100, density(channels=101), seeded())
