"""Whitening against a slow reference in float64."""

import numpy as np
import pytest
import torch
from torch import Tensor

from clflow.detectors.flow.dataset import normalize_for_training
from clflow.detectors.flow.normalization import Normalization
from clflow.detectors.flow.settings import FlowSettings, NormalizationSettings
from clflow.detectors.folds import draw_folds
from clflow.detectors.registry import find_method


def settings(
    mean: str,
    covariance: str,
    prior: float = 0.0,
    block: int = 1,
    rank: int | None = None,
) -> NormalizationSettings:
    return NormalizationSettings(
        mean=mean,
        covariance=covariance,
        prior=prior,
        epsilon=1e-3,
        block=block,
        rank=rank,
        folds=0,
    )


def correlated(count: int, channels: int = 4, side: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    random = torch.randn(side * side, channels, channels, generator=generator)
    left, _, right = torch.linalg.svd(random)
    mixing = left @ torch.diag(torch.linspace(0.5, 1.5, channels)) @ right
    offset = 3 * torch.randn(side * side, channels, generator=generator)
    x = torch.randn(count, side * side, channels, generator=generator)
    mixed = torch.einsum("nlc,lcd->nld", x, mixing) + offset
    return mixed.permute(0, 2, 1).reshape(count, channels, side, side)


def reference(train: Tensor, x: Tensor, rule: NormalizationSettings) -> np.ndarray:
    """Whiten by the formula, location by location, in float64."""
    flat, new = (v.flatten(2).double().numpy() for v in (train, x))
    per_location = flat.mean(0)
    mean = per_location if rule.mean == "location" else per_location.mean(1, keepdims=True)
    residual = flat - mean
    scale = np.sqrt((residual**2).mean((0, 2)) + 0) + rule.epsilon
    standard = residual / scale[:, None]
    local = np.einsum("ncl,ndl->lcd", standard, standard) / len(flat)
    shared = local.mean(0)
    local = pooled(local, rule.block)
    weight = rule.prior * len(scale) / (rule.prior * len(scale) + len(flat))
    out = (new - mean) / scale[:, None]
    for location in range(flat.shape[2]):
        covariance = (1 - weight) * local[location] + weight * shared
        covariance = shared if rule.covariance == "global" else covariance
        if rule.covariance != "diagonal":
            factor = np.linalg.cholesky(covariance + rule.epsilon * np.eye(len(scale)))
            out[:, :, location] = np.linalg.solve(factor, out[:, :, location].T).T
    return out.reshape(x.shape)


def pooled(moments: np.ndarray, block: int, side: int = 3) -> np.ndarray:
    """Replace each location's moments by the mean over its block."""
    places = np.arange(side * side)
    block_of = places // side // block * side + places % side // block
    return np.stack([moments[block_of == own].mean(0) for own in block_of])


@pytest.mark.parametrize("block", [1, 2, 3, 5])
@pytest.mark.parametrize("mean", ["global", "location"])
@pytest.mark.parametrize("covariance", ["diagonal", "global", "location"])
@pytest.mark.parametrize("prior", [0.0, 15.0])
def test_normalisation_equals_the_reference(
    mean: str, covariance: str, prior: float, block: int
) -> None:
    rule = settings(mean, covariance, prior, block)
    train, x = correlated(60), correlated(5, seed=1)
    fitted = Normalization(4, (3, 3), rule).fit(train)
    # the factors are kept in half precision
    np.testing.assert_allclose(fitted(x).numpy(), reference(train, x, rule), rtol=0.02, atol=0.05)


def low_rank_reference(train: Tensor, x: Tensor, rule: NormalizationSettings) -> np.ndarray:
    """Whiten by the dense matrix c (I - VV') + V d V' of each location, in float64."""
    flat, new = (v.flatten(2).double().numpy() for v in (train, x))
    mean = flat.mean(0)
    scale = np.sqrt(((flat - mean) ** 2).mean((0, 2))) + rule.epsilon
    standard, out = (flat - mean) / scale[:, None], (new - mean) / scale[:, None]
    shared = np.einsum("ncl,ndl->cd", standard, standard) / (len(flat) * flat.shape[2])
    weight = rule.prior * len(scale) / (rule.prior * len(scale) + len(flat))
    factor = np.linalg.inv(np.linalg.cholesky(shared + rule.epsilon * np.eye(len(scale))))
    for location in range(flat.shape[2]):
        y = standard[:, :, location] @ factor.T
        values, vectors = np.linalg.eigh(y.T @ y / len(y))
        rest = values[: -rule.rank].mean() if rule.rank < len(scale) else 0.0
        kept = np.r_[np.full(len(scale) - rule.rank, rest), values[-rule.rank :]]
        roots = 1 / np.sqrt((1 - weight) * kept + weight + rule.epsilon)
        out[:, :, location] = out[:, :, location] @ factor.T @ (vectors * roots) @ vectors.T
    return out.reshape(x.shape)


@pytest.mark.parametrize("rank", [1, 3, 4])
@pytest.mark.parametrize("prior", [0.0, 5.0, 1000.0])
def test_low_rank_whitening_equals_the_reference(rank: int, prior: float) -> None:
    rule = settings("location", "location", prior, rank=rank)
    train, x = correlated(60), correlated(5, seed=1)
    fitted = Normalization(4, (3, 3), rule).fit(train)
    expected = low_rank_reference(train, x, rule)
    np.testing.assert_allclose(fitted(x).numpy(), expected, rtol=0.02, atol=0.05)


def test_all_directions_give_the_distances_of_the_whole_covariance() -> None:
    train, x = correlated(60), correlated(5, seed=1)
    every = Normalization(4, (3, 3), settings("location", "location", 5.0, rank=4)).fit(train)
    whole = Normalization(4, (3, 3), settings("location", "location", 5.0)).fit(train)
    distances = [fitted(x).square().sum(1) for fitted in (every, whole)]
    torch.testing.assert_close(*distances, rtol=0.02, atol=0.05)


def test_a_rank_without_a_covariance_per_location_is_an_error() -> None:
    with pytest.raises(ValueError, match="rank 3 needs covariance location and block 1"):
        settings("location", "global", rank=3)
    with pytest.raises(ValueError, match="set rank to null"):
        settings("location", "location", block=2, rank=3)


def test_location_whitening_makes_training_features_white() -> None:
    train = correlated(400)
    white = Normalization(4, (3, 3), settings("location", "location")).fit(train)(train).flatten(2)
    covariance = torch.einsum("ncl,ndl->lcd", white, white) / len(train)
    assert (covariance - torch.eye(4)).abs().max() < 0.1
    assert white.mean(0).abs().max() < 0.01


@pytest.mark.parametrize("rank", [None, 2])
def test_a_loaded_normalisation_gives_equal_values(rank: int | None) -> None:
    rule = settings("location", "location", 5.0, rank=rank)
    train = correlated(30)
    fitted = Normalization(4, (3, 3), rule).fit(train)
    loaded = Normalization(4, (3, 3), rule)
    loaded(train)
    loaded.load_state_dict(fitted.state_dict())
    assert torch.equal(loaded(train), fitted(train))


def test_folds_are_even_and_reproducible() -> None:
    folds = draw_folds(23, 5, torch.Generator().manual_seed(0))
    assert torch.bincount(folds).tolist() == [5, 5, 5, 4, 4]
    assert torch.equal(folds, draw_folds(23, 5, torch.Generator().manual_seed(0)))


def flow_settings(folds: int) -> FlowSettings:
    method = find_method("clflow")
    return FlowSettings.model_validate(method.complete({"normalization": {"folds": folds}}))


def test_cross_fit_uses_the_statistics_of_the_other_folds() -> None:
    rule = flow_settings(3)
    good, negatives = correlated(12).half(), correlated(6, seed=1).half()
    owners = torch.tensor([0, 0, 3, 5, 11, 7])
    folds = draw_folds(12, 3, torch.Generator().manual_seed(5))
    expected_good, expected_negatives = good.clone(), negatives.clone()
    for fold in range(3):
        other = Normalization(4, (3, 3), rule.normalization).fit(good[folds != fold])
        expected_good[folds == fold] = other(good[folds == fold].float()).half()
        rows = folds[owners] == fold
        expected_negatives[rows] = other(negatives[rows].float()).half()
    fitted = [Normalization(4, (3, 3), rule.normalization).fit(good)]
    generator = torch.Generator().manual_seed(5)
    normalize_for_training([good], [negatives], owners.tolist(), fitted, rule, generator)
    assert torch.equal(good, expected_good)
    assert torch.equal(negatives, expected_negatives)


def test_without_folds_all_statistics_are_used() -> None:
    rule = flow_settings(0)
    good = correlated(12).half()
    fitted = [Normalization(4, (3, 3), rule.normalization).fit(good)]
    expected = fitted[0](good.float()).half()
    normalize_for_training([good], None, (), fitted, rule, torch.Generator())
    assert torch.equal(good, expected)
