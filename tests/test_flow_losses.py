"""Losses, cells and boxes in cases that can be worked out by hand."""

import math
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clflow.detectors.flow.dataset import anomalous_cells
from clflow.detectors.flow.density import Evidence
from clflow.detectors.flow.losses import (
    box_features,
    box_slices,
    cosine_contrast,
    hinge,
    projection_contrast,
    ranking,
    smoothed_cross_entropy,
)
from clflow.detectors.flow.objective import Batch, Objective
from clflow.detectors.flow.settings import CellSettings, ContrastSettings

CELLS = CellSettings(area=0.25, share=0.7)


def contrast(**changes: object) -> ContrastSettings:
    values = {
        "weight": 1.0,
        "form": "margin",
        "margin": 0.0,
        "temperature": 0.5,
        "stop_gradient": True,
    }
    return ContrastSettings.model_validate(values | changes)


def test_cross_entropy_of_undecided_logits_is_log_two() -> None:
    zeros = torch.zeros(7)
    assert smoothed_cross_entropy(zeros, zeros, 0.1).item() == pytest.approx(math.log(2))


def test_cross_entropy_averages_the_classes_not_the_cells() -> None:
    good, anomalous = torch.full((1000,), -20.0), torch.full((1,), -20.0)
    assert smoothed_cross_entropy(good, anomalous, 0.0).item() == pytest.approx(10, rel=1e-3)


def test_smoothing_moves_the_best_logit_to_its_target() -> None:
    logits = torch.linspace(0, 8, 801)
    losses = [smoothed_cross_entropy(-x, x, 0.1).item() for x in logits]
    best = logits[losses.index(min(losses))].item()
    assert torch.sigmoid(torch.tensor(best)).item() == pytest.approx(0.95, abs=0.002)


def test_without_anomalous_cells_the_good_half_is_left() -> None:
    loss = smoothed_cross_entropy(torch.zeros(3), torch.zeros(0), 0.1)
    assert loss.item() == pytest.approx(0.5 * math.log(2))


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        pytest.param([[0.3, 0.2], [0.0, 0.0]], [[True, False], [False, False]], id="area"),
        pytest.param([[0.1, 0.08], [0.05, 0.0]], [[True, True], [False, False]], id="share"),
        pytest.param([[0.0, 0.0], [0.0, 0.0]], [[False, False], [False, False]], id="empty"),
        pytest.param([[1.0, 0.3], [0.2, 0.0]], [[True, True], [False, False]], id="large"),
    ],
)
def test_anomalous_cells(coverage: list[list[float]], expected: list[list[bool]]) -> None:
    actual = anomalous_cells(torch.tensor(coverage)[None], CELLS)[0]
    assert actual.tolist() == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((0.0, 0.0, 1.0, 1.0), (slice(0, 4), slice(0, 8)), id="whole"),
        pytest.param((0.3, 0.3, 0.31, 0.31), (slice(1, 2), slice(2, 3)), id="inside one cell"),
        pytest.param((0.12, 0.2, 0.26, 0.6), (slice(0, 3), slice(0, 3)), id="rounded outward"),
        pytest.param((0.999, 0.999, 1.0, 1.0), (slice(3, 4), slice(7, 8)), id="last cell"),
    ],
)
def test_boxes_are_rounded_outward(box: tuple[float, ...], expected: tuple[slice, slice]) -> None:
    assert box_slices(box, (4, 8)) == expected


def test_box_feature_is_the_mean_over_anomalous_cells() -> None:
    latent = torch.arange(8.0).reshape(2, 2, 2)
    cells = torch.tensor([[True, False], [True, False]])
    whole = (0.0, 0.0, 1.0, 1.0)
    (feature,) = box_features(latent, cells, [whole])
    assert feature.tolist() == [1.0, 5.0]
    (fallback,) = box_features(latent, torch.zeros_like(cells), [whole])
    assert fallback.tolist() == [1.5, 5.5]


def constant_latent(directions: list[list[float]]) -> torch.Tensor:
    return torch.tensor(directions)[:, :, None, None].expand(-1, -1, 2, 2)


def test_equal_good_images_and_opposite_boxes_cost_nothing() -> None:
    latent = constant_latent([[1.0, 0.0], [2.0, 0.0]])
    loss = cosine_contrast(
        latent, [torch.tensor([1.0, 0.0])], [torch.tensor([-1.0, 0.0])], contrast()
    )
    assert loss.item() == pytest.approx(0, abs=1e-6)


def test_orthogonal_good_images_and_equal_boxes_cost_two() -> None:
    latent = constant_latent([[1.0, 0.0], [0.0, 1.0]])
    box = torch.tensor([1.0, 1.0])
    assert cosine_contrast(latent, [box], [box], contrast()).item() == pytest.approx(2)
    assert cosine_contrast(latent, [box], [box], contrast(margin=0.4)).item() == pytest.approx(1.6)


def test_info_nce_is_the_softmax_of_pull_against_push() -> None:
    latent = constant_latent([[1.0, 0.0], [0.0, 1.0]])
    box = torch.tensor([1.0, 1.0])
    loss = cosine_contrast(latent, [box], [box], contrast(form="info_nce"))
    assert loss.item() == pytest.approx(-math.log(1 / (1 + math.exp(1 / 0.5))))


@pytest.mark.parametrize("stop", [True, False])
def test_stop_gradient_anchors_the_good_box(stop: bool) -> None:
    latent = constant_latent([[1.0, 0.0], [1.0, 0.0]])
    good = torch.tensor([1.0, 0.5], requires_grad=True)
    anomalous = torch.tensor([1.0, 0.0], requires_grad=True)
    cosine_contrast(latent, [good], [anomalous], contrast(stop_gradient=stop)).backward()
    assert anomalous.grad is not None
    assert (good.grad is None) == stop


def test_without_boxes_only_the_pull_is_left() -> None:
    latent = constant_latent([[1.0, 0.0], [0.0, 1.0]])
    assert cosine_contrast(latent, [], [], contrast()).item() == pytest.approx(1)


def test_hinge_is_zero_beyond_the_margin_and_one_for_the_undecided() -> None:
    assert hinge(torch.full((5,), -1.5), torch.full((2,), 1.0)).item() == 0
    assert hinge(torch.zeros(5), torch.zeros(2)).item() == 1
    assert hinge(torch.ones(3), torch.zeros(0)).item() == 1


def test_ranking_compares_pairs_not_classes() -> None:
    twins, anomalous = torch.tensor([0.0, 10.0]), torch.tensor([5.0, 15.0])
    assert ranking(twins, anomalous, 0.0).item() == pytest.approx(math.log1p(math.exp(-5)))
    assert ranking(twins, anomalous, 5.0).item() == pytest.approx(math.log(2))
    assert ranking(anomalous, twins, 0.0).item() > 5


def test_projection_contrast_is_the_softmax_of_a_pair_against_all_anomalies() -> None:
    good = torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]]])
    anomalous = torch.tensor([[0.0, 1.0], [0.0, -2.0]])
    loss = projection_contrast(good, anomalous, torch.arange(2), 0.5)
    assert loss.item() == pytest.approx(-math.log(math.exp(2) / (math.exp(2) + 2)), rel=1e-5)


def test_projection_contrast_falls_as_anomalies_turn_away() -> None:
    good = torch.tensor([[[1.0, 0.1]], [[1.0, -0.1]]])
    angles = torch.linspace(0, math.pi, 7)
    losses = [
        projection_contrast(
            good, torch.stack([angle.cos(), angle.sin()])[None], torch.arange(2), 0.1
        ).item()
        for angle in angles
    ]
    assert losses == sorted(losses, reverse=True)


def one_direction_an_image(images: torch.Tensor, cells: int) -> torch.Tensor:
    """Return good cells [N, M, D], those of an image alike and of two images orthogonal."""
    return torch.eye(12)[images][:, None].repeat(1, cells, 1)


@given(
    images=st.lists(st.integers(0, 9), min_size=2, max_size=8),
    cells=st.integers(1, 5),
    anomalies=st.integers(1, 4),
)
def test_no_pair_of_the_projection_contrast_is_of_one_image(
    images: list[int], cells: int, anomalies: int
) -> None:
    rows = torch.tensor(images)
    anomalous = torch.eye(12)[11].repeat(anomalies, 1)
    loss = projection_contrast(one_direction_an_image(rows, cells), anomalous, rows, 0.25)
    # all cosines of pairs across images, and with anomalies, are zero
    expected = 0.0 if len(set(images)) == 1 else math.log1p(anomalies)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@given(images=st.integers(2, 5), height=st.integers(1, 4), width=st.integers(1, 4))
def test_projected_cells_of_the_objective_are_paired_across_images(
    images: int, height: int, width: int
) -> None:
    rows = torch.arange(images) + 3
    cells = one_direction_an_image(rows, height * width)
    latent = cells.mT.unflatten(2, (height, width))
    anomalous = torch.eye(12)[11][None, :, None, None]
    nothing = torch.zeros(images, height, width)
    settings = SimpleNamespace(
        contrast=contrast(form="projection"), training=SimpleNamespace(locations=None)
    )
    objective = Objective(SimpleNamespace(), settings, torch.device("cpu"))  # type: ignore[arg-type]
    loss = objective._cell_contrast(
        0,
        SimpleNamespace(projection=torch.nn.Identity()),  # type: ignore[arg-type]
        Evidence(latent, nothing, nothing),
        Evidence(anomalous, torch.zeros(1, 1, 1), torch.zeros(1, 1, 1)),
        torch.ones(1, 1, 1, dtype=torch.bool),
        Batch(rows, torch.tensor([0]), torch.tensor([0])),
    )
    assert loss.item() == pytest.approx(math.log(2), rel=1e-5)


def test_projected_cells_are_paired_with_the_same_place_of_the_image_before() -> None:
    good = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    anomalous = torch.randn(2, 5, generator=torch.Generator().manual_seed(1))
    losses = []
    for image, place in product(range(3), range(4)):
        cosines = [
            torch.cosine_similarity(good[image, place], other, dim=0) / 0.5
            for other in (good[image - 1, place], *anomalous)
        ]
        losses.append(-torch.log_softmax(torch.stack(cosines), 0)[0])
    loss = projection_contrast(good, anomalous, torch.arange(3), 0.5)
    torch.testing.assert_close(loss, torch.stack(losses).mean())
