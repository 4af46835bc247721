"""Backbones by name: what timm calls them and which levels the papers take."""

from dataclasses import dataclass

from clflow.errors import SettingsError, unknown_name


@dataclass(frozen=True)
class BackboneSpec:
    """A timm model, its default levels, and whether levels are stages or transformer blocks."""

    timm_name: str
    levels: tuple[int, ...]
    transformer: bool = False
    bundled: bool = False


BACKBONES = {
    "efficientnet_lite0": BackboneSpec("tf_efficientnet_lite0", (1, 2, 3), bundled=True),
    "resnet18": BackboneSpec("resnet18", (1, 2, 3)),
    "wide_resnet50_2": BackboneSpec("wide_resnet50_2", (1, 2, 3)),
    "deit_base_distilled_patch16_384": BackboneSpec(
        "deit_base_distilled_patch16_384", (7,), transformer=True
    ),
    "cait_m48_448": BackboneSpec("cait_m48_448", (40,), transformer=True),
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
            f"no bundled weights for backbone {name!r}: set weights to 'pretrained' (downloaded by timm) "
            "or to the path of a weight file, or use backbone 'efficientnet_lite0'"
        )
        raise SettingsError(message)
