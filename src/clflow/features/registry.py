"""Backbones by name: what timm calls them, which levels the papers take, settings to choose one."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

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


NAMED_WEIGHTS = ("bundled", "pretrained", "random")


def _ascending(levels: tuple[int, ...]) -> tuple[int, ...]:
    if any(first >= second for first, second in pairwise(levels)):
        raise ValueError("levels must ascend")
    return levels


class BackboneSettings(BaseModel):
    """Which network, which of its levels, and where its weights come from.

    `weights` is `bundled` (the package that ships EfficientNet-Lite0), `pretrained` (downloaded by
    timm), `random` (tests only) or the path of a local .safetensors or .pth file, checked against
    `sha256`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    levels: Annotated[tuple[NonNegativeInt, ...], AfterValidator(_ascending)] | None = Field(
        None, min_length=1
    )
    weights: str = "bundled"
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _only_files_are_hashed(self) -> Self:
        if self.sha256 is not None and self.weights in NAMED_WEIGHTS:
            raise ValueError(
                f"sha256 is that of a local weight file, but weights is {self.weights!r}: "
                "give the path of the file as weights, or leave sha256 out"
            )
        return self


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


def check_weight_file(path: Path) -> None:
    """Refuse a path that leads to no file of weights; only its first bytes are read.

    Raises:
        SettingsError: see above.
    """
    allowed = "allowed are 'bundled', 'pretrained', 'random' or the path of a .safetensors or .pth"
    if not path.is_file():
        raise SettingsError(f"backbone weights {str(path)!r}: no such file; {allowed} file")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError(f"backbone weights {path} cannot be read: {reason}") from error
    # archives of PyTorch, its older files, and safetensors: a length, then JSON
    if not (start.startswith((b"PK\x03\x04", b"\x80")) or start[8:] == b"{"):
        raise SettingsError(
            f"backbone weights {path} cannot be read, the file is damaged or of another format; "
            f"{allowed} file"
        )
