"""What the NSA network is given: colours or their mean, standardised or not; chest X-rays."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import seeded
from nsa_detector_cases import METHODS, category, good_images, small_settings
from pydantic import ValidationError
from torch import Tensor, nn

from clflow.data.images import ArrayImages
from clflow.detectors.nsa.detector import NSADetector
from clflow.detectors.nsa.network import EncoderDecoder, build_network
from clflow.detectors.nsa.plan import Inputs, make_plan
from clflow.synthesis.background import decide
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import Category, TrainingData

COLOUR, CHEST = Inputs(3, True), Inputs(1, False)
FEW = np.zeros((4, 32, 32, 3), np.uint8)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def listed(dataset: str, name: str) -> Category:
    synthesize = SynthesizeSettings()
    return Category(dataset, name, decide(dataset, name, synthesize, ()), synthesize)


def grey_images(count: int, seed: int = 0) -> list[np.ndarray]:
    """Return bright grey images below a dark ground, as chest X-rays are."""
    images = [image[..., :1] // 2 + 90 for image in good_images("texture", count, seed)]
    for image in images:
        image[:16] = 3
    return [np.repeat(image, 3, axis=2) for image in images]


def levels(*channels: int) -> Tensor:
    """Return an even image uint8 [1, 3, 64, 64]."""
    return torch.tensor(channels, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 64, 64)


def given(network: EncoderDecoder, images: Tensor) -> Tensor:
    """Return what the first layer of a network is given of images."""
    seen: list[Tensor] = []
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    handle = first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network.eval()(images)
    handle.remove()
    return seen[0]


@pytest.fixture(scope="module")
def chest() -> NSADetector:
    """Return a detector that was shown a few images as those of a chest X-ray list."""
    data = TrainingData(ArrayImages(grey_images(4)), category=listed("rcxr", "female"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLFLOW_WORKERS", "0")
        return NSADetector(small_settings(training={"epochs": 1})).fit(data, seeded())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dataset", "name", "expected"),
    [
        ("mvtec_ad", "bottle", COLOUR),
        ("mvtec_ad", "grid", COLOUR),
        ("rcxr", "male", CHEST),
        ("rcxr", "female", CHEST),
    ],
)
def test_auto_is_the_authors_choice(method: str, dataset: str, name: str, expected: Inputs) -> None:
    plan = make_plan(listed(dataset, name), FEW, small_settings(method))
    assert plan.inputs == expected
    assert plan.reason.endswith(expected.text)


@pytest.mark.parametrize("known", [category("object", "mine", "female"), None])
def test_auto_is_colours_standardised_where_the_class_is_not_the_authors(known: Any) -> None:
    assert make_plan(known, FEW, small_settings()).inputs == COLOUR


@pytest.mark.parametrize(
    ("dataset", "name", "chosen", "expected"),
    [
        ("rcxr", "male", {"channels": 3}, Inputs(3, False)),
        ("rcxr", "male", {"standardise": True}, Inputs(1, True)),
        ("mvtec_ad", "zipper", {"channels": 1}, Inputs(1, True)),
        ("mvtec_ad", "zipper", {"channels": 1, "standardise": False}, CHEST),
    ],
)
def test_what_is_set_lies_over_the_authors_choice(
    dataset: str, name: str, chosen: dict[str, Any], expected: Inputs
) -> None:
    settings = small_settings(input=chosen)
    assert make_plan(listed(dataset, name), FEW, settings).inputs == expected


@pytest.mark.parametrize(
    "chosen", [{"channels": 2}, {"channels": "grey"}, {"standardise": "maybe"}, {"mean": 0.5}]
)
def test_settings_refuse_other_inputs(chosen: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"input.{next(iter(chosen))}"):
        small_settings(input=chosen)


def test_words_for_the_inputs() -> None:
    assert (COLOUR.text, CHEST.text) == ("3 channels, standardised", "1 channel, not standardised")


def test_one_channel_has_a_third_of_the_first_weights() -> None:
    networks = (build_network(seeded(), inputs) for inputs in (COLOUR, CHEST))
    three, one = (sum(each.numel() for each in network.parameters()) for network in networks)
    assert three == 11_497_712
    assert three - one == 2 * 64 * 7 * 7


def test_three_channels_are_what_a_network_has_if_nothing_is_said() -> None:
    said, unsaid = build_network(seeded(), COLOUR), build_network(seeded())
    assert all(map(torch.equal, said.state_dict().values(), unsaid.state_dict().values()))
    images = levels(200, 7, 91)
    assert torch.equal(given(said, images), given(unsaid, images))


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (COLOUR, [(c - m) / s for c, m, s in zip((30, 90, 240), MEAN, STD, strict=True)]),
        (Inputs(3, False), [30 / 255, 90 / 255, 240 / 255]),
        (Inputs(1, True), [(120 - sum(MEAN) / 3) / (sum(STD) / 3)]),
        (CHEST, [120 / 255]),
    ],
    ids=lambda each: each.text if isinstance(each, Inputs) else "",
)
def test_the_first_layer_sees(inputs: Inputs, expected: list[float]) -> None:
    seen = given(build_network(seeded(), inputs), levels(30, 90, 240))
    assert seen.shape == (1, inputs.channels, 64, 64)
    torch.testing.assert_close(seen[0, :, 5, 9], torch.tensor(expected))


def test_every_grey_level_reaches_a_network_of_one_channel_as_it_is() -> None:
    ramp = torch.arange(64 * 64).remainder(256).to(torch.uint8).view(1, 1, 64, 64)
    seen = given(build_network(seeded(), CHEST), ramp.expand(1, 3, 64, 64))
    assert torch.equal(seen, ramp / 255)


def test_a_chest_detector_has_one_channel(chest: NSADetector) -> None:
    assert chest.inputs_ == CHEST
    assert chest.network_.encoder.mean.shape == (1, 1, 1, 1)
    pixels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    assert chest.backbone(pixels).shape == (2, 512, 2, 2)


def test_a_saved_chest_detector_scores_the_same(chest: NSADetector, tmp_path: Path) -> None:
    chest.save(tmp_path)
    loaded = NSADetector.load(tmp_path)
    assert (loaded.inputs_, loaded.settings) == (CHEST, chest.settings)
    assert json.loads((tmp_path / "model.json").read_text())["settings"]["input"] == {
        "channels": "auto",
        "standardise": "auto",
    }
    images = ArrayImages(grey_images(2, seed=9))
    one, two = chest.score(images), loaded.score(images)
    np.testing.assert_array_equal(one.anomaly_maps, two.anomaly_maps)
    np.testing.assert_array_equal(one.image_scores, two.image_scores)
    assert np.ptp(one.anomaly_maps[:, 16:-16, 16:-16]) > 0
