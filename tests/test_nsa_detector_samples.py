"""Training samples: what is in them follows from seed, epoch and index, and from nothing else."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from nsa_detector_cases import (
    METHODS,
    good_images,
    member_of,
    small_settings,
    stacked,
)
from torch import Tensor

from clflow.data.images import ArrayImages
from clflow.detectors.nsa import samples as loading
from clflow.detectors.nsa.samples import (
    BankSamples,
    FlySamples,
    anomalies_of,
    batches,
    epoch_keys,
    sample_workers,
)
from clflow.detectors.nsa.views import Views, training_views
from clflow.errors import SettingsError
from clflow.synthesis.nsa import NSA
from clflow.synthesis.synthetic import Synthetic
from clflow.synthesis.training_data import SyntheticAnomalies

CPU = torch.device("cpu")
WHOLE = Views(96, 96, 96, 0.0, flips=False)


def fly(kind: Any, method: str = "nsa", seed: int = 0, views: Views | None = None) -> FlySamples:
    chosen = small_settings(method)
    views = views or training_views(kind, 5.0 if kind == "object" else 0.0, chosen)
    return FlySamples(stacked(kind, 5, side=views.loaded), views, member_of(kind, chosen), seed)


def anomalies(
    label: str, kind: Any = "texture"
) -> tuple[list[np.ndarray], list[Synthetic], BankSamples]:
    """Return good images, an anomaly of each of the first four, and these as samples of a bank."""
    good = good_images(kind, 5)
    settings = small_settings(label=label, anomalies={"source": "bank"})
    member = member_of(kind, settings)
    made = [
        found
        for index in range(4)
        if (
            found := NSA().generate(
                good[index], good[index + 1], member.settings, np.random.default_rng(8 + index)
            )
        )
    ]
    assert len(made) == 4
    negatives = SyntheticAnomalies(
        images=ArrayImages([each.image for each in made]),
        masks=lambda index: made[index].mask,
        boxes=tuple(each.boxes for each in made),
        sources=(0, 1, 2, 3),
    )
    of_good = anomalies_of(negatives.sources, 5)
    return good, made, BankSamples(np.stack(good), negatives, of_good, WHOLE, member, 0)


def equal(one: tuple[Tensor, ...], two: tuple[Tensor, ...]) -> bool:
    return all(map(torch.equal, one, two))


@pytest.mark.parametrize("kind", ["object", "texture"])
@pytest.mark.parametrize("method", METHODS)
def test_a_sample_follows_from_its_key(kind: Any, method: str) -> None:
    samples, again, other = (fly(kind, method, seed) for seed in (5, 5, 6))
    first = [samples[0, index] for index in range(5)]
    for index in reversed(range(5)):
        assert equal(again[0, index], first[index])
    fresh = [samples[1, index] for index in range(5)]
    others = [other[0, index] for index in range(5)]
    assert not any(equal(one, two) for one, two in zip(first, fresh, strict=True))
    assert not any(equal(one, two) for one, two in zip(first, others, strict=True))


@pytest.mark.parametrize(("kind", "side"), [("object", 64), ("texture", 96)])
def test_a_sample_is_an_image_and_its_label(kind: Any, side: int) -> None:
    image, label = fly(kind)[0, 0]
    assert (image.shape, image.dtype) == ((side, side, 3), torch.uint8)
    assert (label.shape, label.dtype) == ((side, side), torch.float32)


@pytest.mark.parametrize("kind", ["object", "texture"])
@pytest.mark.parametrize("method", METHODS)
def test_labels_lie_where_the_image_was_changed(kind: Any, method: str) -> None:
    """Within the 5x5 median that rounds the mask off."""
    samples = fly(kind, method, views=WHOLE)
    marked = 0
    for index in range(5):
        image, label = samples[0, index]
        changed = (image.numpy() != samples.images[index]).any(axis=2)
        near = torch.nn.functional.max_pool2d(torch.from_numpy(changed)[None].float(), 5, 1, 2)[0]
        assert (near[label > 0] == 1).all()
        assert 0 <= label.min() <= label.max() <= 1
        marked += bool(label.any())
    assert marked >= 3


def test_an_image_without_a_place_for_an_anomaly_is_shown_as_it_is() -> None:
    samples = fly("object", views=WHOLE)
    settings = samples.member.settings.model_copy(update={"minimum_object": 1.0})
    member = type(samples.member)("nsa", 1.0, settings, "other")
    image, label = FlySamples(samples.images, WHOLE, member, 0)[0, 2]
    np.testing.assert_array_equal(image, samples.images[2])
    assert not label.any()


def test_a_patch_comes_from_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    samples, pairs = fly("object", views=WHOLE), []

    def generate(_: NSA, destination: Any, source: Any, *__: Any) -> None:
        pairs.append(
            tuple(
                next(i for i in range(5) if np.array_equal(samples.images[i], image))
                for image in (destination, source)
            )
        )

    monkeypatch.setattr(NSA, "generate", generate)
    for epoch in range(200):
        assert not samples[epoch, epoch % 5][1].any()
    assert set(pairs) == {(i, j) for i in range(5) for j in range(5) if i != j}


def test_cutpaste_takes_the_patch_from_what_is_seen_of_the_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(NSA, "generate", lambda _, one, two, *__: seen.append((one, two)))
    fly("object", "cutpaste")[0, 3]
    np.testing.assert_array_equal(*seen[0])


@pytest.mark.parametrize("label", ["binary", "logistic", "intensity"])
@pytest.mark.parametrize(("kind", "share"), [("texture", 0.0), ("object", 0.02)])
def test_labels_of_a_bank_are_those_of_the_generator(kind: Any, share: float, label: str) -> None:
    """On an object nearly: a bank does not keep which part of a patch lies on the object."""
    _, made, samples = anomalies(label, kind)
    for index, synthetic in enumerate(made):
        image, target = samples[0, index]
        np.testing.assert_array_equal(image, synthetic.image)
        differing = np.abs(target.numpy() - synthetic.label) > 1e-5
        assert differing.mean() <= share
        assert target.any()


def test_a_good_image_without_an_anomaly_of_the_bank_is_shown_as_it_is() -> None:
    good, _, samples = anomalies("binary")
    image, label = samples[0, 4]
    np.testing.assert_array_equal(image, good[4])
    assert not label.any()


def test_each_anomaly_of_an_image_is_shown_sooner_or_later() -> None:
    _, made, samples = anomalies("binary")
    all_of_one = ((0, 1, 2, 3), (), (), (), ())
    shared = BankSamples(
        samples.images, samples.anomalies, all_of_one, WHOLE, samples.member, samples.seed
    )
    shown = [shared[epoch, 0][0].numpy() for epoch in range(30)]
    for synthetic in made:
        assert any(np.array_equal(synthetic.image, image) for image in shown)
    images = [shared[epoch, 0][0] for epoch in range(30)]
    assert all(torch.equal(shared[epoch, 0][0], images[epoch]) for epoch in range(30))


def test_anomalies_are_sorted_by_their_good_image() -> None:
    assert anomalies_of((2, 0, 2), 4) == ((1,), (), (0, 2), ())


@pytest.mark.parametrize(("count", "batch_size"), [(7, 3), (6, 3), (2, 5)])
def test_an_epoch_shows_every_image_once_in_an_order_of_its_own(
    count: int, batch_size: int
) -> None:
    epochs = [epoch_keys(4, epoch, count, batch_size) for epoch in range(6)]
    for epoch, keys in enumerate(epochs):
        flat = [key for batch in keys for key in batch]
        assert sorted(flat) == [(epoch, index) for index in range(count)]
        assert all(len(batch) == batch_size for batch in keys[:-1])
    orders = [[index for batch in keys for _, index in batch] for keys in epochs]
    assert any(one != two for one, two in pairwise(orders))
    assert epoch_keys(4, 3, count, batch_size) == epochs[3]


def test_batches_do_not_depend_on_the_number_of_workers() -> None:
    samples = fly("texture")
    keys = [batch for epoch in range(2) for batch in epoch_keys(1, epoch, 5, 2)]
    none, two = (list(batches(samples, keys, workers, CPU)) for workers in (0, 2))
    assert len(none) == len(two) == 6
    assert all(map(equal, none, two))
    images, labels = none[0]
    assert images.shape == (2, 3, 96, 96)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert labels.shape == (2, 96, 96)


def test_batches_leave_global_random_state_alone() -> None:
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    list(batches(fly("object"), [[(0, 0)]], 0, CPU))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("asked", "cores", "expected"),
    [("0", 4, 0), ("3", 4, 3), ("40", 4, 40), ("", 4, 4), ("", 96, 16)],
)
def test_workers_are_as_told_or_one_per_core(
    asked: str, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLFLOW_WORKERS", asked)
    monkeypatch.setattr(loading, "worker_count", lambda: int(asked or cores))
    assert sample_workers() == expected


def test_workers_that_are_no_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLFLOW_WORKERS", "-1")
    with pytest.raises(SettingsError, match="CLFLOW_WORKERS"):
        sample_workers()
