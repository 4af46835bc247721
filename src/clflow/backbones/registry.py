"""Backbones by name: what timm calls them and which levels the papers take."""

from collections.abc import Sequence
from dataclasses import dataclass

from clflow.errors import SettingsError, unknown_name


@dataclass(frozen=True)
class BackboneSpec:
    """A timm model and its levels: stages of a convolutional network or blocks of a transformer.

    Attributes:
        levels: those read by default.
        depth: how many there are.
        image_size: side in pixels of the only images a transformer takes, None where any will do.
    """

    timm_name: str
    levels: tuple[int, ...]
    depth: int = 5
    transformer: bool = False
    image_size: int | None = None
    bundled: bool = False


BACKBONES = {
    "efficientnet_lite0": BackboneSpec("tf_efficientnet_lite0", (1, 2, 3), bundled=True),
    "resnet18": BackboneSpec("resnet18", (1, 2, 3)),
    "wide_resnet50_2": BackboneSpec("wide_resnet50_2", (1, 2, 3)),
    "deit_base_distilled_patch16_384": BackboneSpec(
        "deit_base_distilled_patch16_384", (7,), depth=12, transformer=True, image_size=384
    ),
    "cait_m48_448": BackboneSpec("cait_m48_448", (40,), depth=48, transformer=True, image_size=448),
}


def backbone_spec(name: str) -> BackboneSpec:
    """Return the specification of a backbone.

    Raises:
        SettingsError: the name is unknown; the nearest known one is suggested.
    """
    if name not in BACKBONES:
        raise unknown_name("backbone", name, BACKBONES)
    return BACKBONES[name]


def check_weights(name: str, weights: str) -> None:
    """Refuse bundled weights for a backbone that no package ships weights for.

    Raises:
        SettingsError: see above.
    """
    if weights == "bundled" and not backbone_spec(name).bundled:
        message = (
            f"no bundled weights for backbone {name!r}: set weights to 'pretrained' (downloaded by "
            "timm) or to the path of a weight file, or use backbone 'efficientnet_lite0'"
        )
        raise SettingsError(message)


def check_levels(name: str, levels: Sequence[int]) -> None:
    """Refuse levels that a backbone does not have.

    Raises:
        SettingsError: see above.
    """
    depth = backbone_spec(name).depth
    if absent := [level for level in levels if level not in range(depth)]:
        raise SettingsError(
            f"backbone {name!r} has no levels {absent}: allowed are 0 to {depth - 1}"
        )
