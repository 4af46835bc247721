from importlib import import_module

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from clflow.errors import SettingsError
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.registry import BACKBONES, BackboneSettings, BackboneSpec, backbone_spec

# after clflow.features.backbone, which makes torchvision importable
timm = import_module("timm")

RESNET = BackboneSettings(name="resnet18", weights="random")


def noise(size: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def shapes(maps: list[Tensor]) -> list[tuple[int, ...]]:
    return [tuple(level.shape[1:]) for level in maps]


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return build_backbone(BackboneSettings(name="efficientnet_lite0"))


def test_bundled_lite0_gives_three_levels(lite0: Backbone) -> None:
    assert shapes(lite0(noise(256))) == [(24, 64, 64), (40, 32, 32), (112, 16, 16)]


def test_fingerprint_is_stable_and_tells_features_apart(lite0: Backbone) -> None:
    same = build_backbone(BackboneSettings(name="efficientnet_lite0"))
    levels = build_backbone(BackboneSettings(name="efficientnet_lite0", levels=(1, 2)))
    weights = build_backbone(BackboneSettings(name="efficientnet_lite0", weights="random"))
    prints = [network.fingerprint() for network in (lite0, levels, weights)]
    assert same.fingerprint() == lite0.fingerprint()
    assert len(set(prints)) == 3


def test_fingerprint_sees_one_changed_number() -> None:
    backbone = build_backbone(RESNET)
    before = backbone.fingerprint()
    next(backbone.parameters())[0, 0, 0, 0] += 1e-3
    assert backbone.fingerprint() != before


def test_random_weights_are_repeatable_and_leave_global_randomness_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    first = build_backbone(RESNET)
    assert torch.equal(torch.rand(4), expected)
    assert build_backbone(RESNET).fingerprint() == first.fingerprint()


def test_backbone_stays_frozen_and_in_evaluation_mode() -> None:
    backbone = build_backbone(RESNET)
    backbone.train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    before = backbone.fingerprint()
    assert not any(level.requires_grad for level in backbone(noise(64, 2)))
    assert backbone.fingerprint() == before


MAPS = {
    "efficientnet_lite0": [(24, 64, 64), (40, 32, 32), (112, 16, 16)],
    "resnet18": [(64, 64, 64), (128, 32, 32), (256, 16, 16)],
    "wide_resnet50_2": [(256, 64, 64), (512, 32, 32), (1024, 16, 16)],
    "deit_base_distilled_patch16_384": [(768, 24, 24)],
    "cait_m48_448": [(768, 28, 28)],
}


@pytest.mark.parametrize("name", BACKBONES)
def test_maps_have_the_papers_sizes(name: str) -> None:
    """On the meta device, which has shapes and no numbers."""
    spec = backbone_spec(name)
    size = spec.image_size or 256
    with torch.device("meta"):
        backbone = build_backbone(BackboneSettings(name=name, weights="random"))
        maps = backbone(torch.zeros(1, 3, size, size, dtype=torch.uint8))
    assert shapes(maps) == MAPS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide_resnet50_2", "deit_base_distilled_patch16_384"])
def test_large_backbone_gives_finite_maps(name: str) -> None:
    backbone = build_backbone(BackboneSettings(name=name, weights="random"))
    maps = backbone(noise(backbone.spec.image_size or 64))
    assert all(torch.isfinite(level).all() for level in maps)


@pytest.mark.parametrize(
    ("name", "depth"), [pytest.param(name, spec.depth, id=name) for name, spec in BACKBONES.items()]
)
def test_deepest_level_exists_and_the_next_is_refused(name: str, depth: int) -> None:
    with torch.device("meta"):
        settings = BackboneSettings(name=name, weights="random", levels=(depth - 1,))
        size = backbone_spec(name).image_size or 64
        assert len(build_backbone(settings)(torch.zeros(1, 3, size, size))) == 1
    with pytest.raises(
        SettingsError, match=rf"no levels \[{depth}\]: allowed are 0 to {depth - 1}"
    ):
        build_backbone(BackboneSettings(name=name, weights="random", levels=(1, depth)))


class Echo(nn.Module):
    """A network that returns its input."""

    pretrained_cfg = {"mean": (0.1, 0.2, 0.4), "std": (0.5, 0.25, 0.2)}  # noqa: RUF012

    def forward(self, inputs: Tensor) -> list[Tensor]:
        return [inputs]


def test_images_are_normalised_by_the_models_configuration() -> None:
    images = noise(8, 2)
    expected = (images / 255 - torch.tensor([0.1, 0.2, 0.4]).view(3, 1, 1)) / torch.tensor(
        [0.5, 0.25, 0.2]
    ).view(3, 1, 1)
    (maps,) = Backbone(Echo(), BackboneSpec("echo", (0,)), (0,))(images)
    torch.testing.assert_close(maps, expected)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        pytest.param("efficientnet_lite0", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), id="lite0"),
        pytest.param(
            "resnet18", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), id="imagenet-statistics"
        ),
    ],
)
def test_mean_and_std_are_those_of_the_model(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    backbone = build_backbone(BackboneSettings(name=name, weights="random"))
    torch.testing.assert_close(backbone.mean.flatten(), 255 * torch.tensor(mean))
    torch.testing.assert_close(backbone.std.flatten(), 255 * torch.tensor(std))


def test_level_of_a_transformer_is_a_normed_block_without_prefix_tokens() -> None:
    network = timm.create_model("deit_tiny_distilled_patch16_224", pretrained=False)
    spec = BackboneSpec("deit_tiny", (3,), depth=12, transformer=True, image_size=224)
    tokens = []
    network.blocks[3].register_forward_hook(lambda *call: tokens.append(call[-1]))
    (level,) = Backbone(network, spec, (3,))(noise(224))
    normed = network.norm(tokens[0])[:, 2:]  # after the class and the distillation token
    torch.testing.assert_close(level, normed.transpose(1, 2).reshape(1, 192, 14, 14))


def test_transformer_refuses_another_image_size() -> None:
    with torch.device("meta"):
        backbone = build_backbone(
            BackboneSettings(name="deit_base_distilled_patch16_384", weights="random")
        )
        with pytest.raises(SettingsError, match=r"384 x 384 .* not 256 x 256: set image_size to"):
            backbone(torch.zeros(1, 3, 256, 256))


def test_unknown_backbone_suggests_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'resnet18'"):
        build_backbone(BackboneSettings(name="resnet81"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"levels": (3, 1)}, "levels must ascend", id="descending"),
        pytest.param({"levels": (2, 2)}, "levels must ascend", id="repeated"),
        pytest.param({"levels": (-1,)}, "greater than or equal to 0", id="negative"),
        pytest.param({"levels": ()}, "at least 1 item", id="no-level"),
        pytest.param({"sha256": "abc"}, "should match pattern", id="no-hash"),
        pytest.param(
            {"weights": "pretrained", "sha256": "0" * 64}, "local weight file", id="idle-hash"
        ),
        pytest.param({"layers": (1,)}, "Extra inputs", id="unknown-key"),
    ],
)
def test_settings_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        BackboneSettings.model_validate({"name": "resnet18"} | values)
