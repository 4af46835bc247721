"""Natural synthetic anomalies (NSA, arXiv 2109.15222): Poisson-blended patches of normal images."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from clflow.synthesis.background import Decision, class_table, object_mask
from clflow.synthesis.blending import paste
from clflow.synthesis.labels import (
    BackgroundLevels,
    Frozen,
    HalfWidths,
    LabelKind,
    LabelSettings,
    NotNegative,
    PasteMode,
    Positive,
    Scales,
    Share,
    SourceKind,
    Weights,
)
from clflow.synthesis.patch import PatchShape, Scene, sample_patch
from clflow.synthesis.synthetic import Patches, Synthetic, check_pair, finish

if TYPE_CHECKING:
    from clflow.synthesis.settings import SynthesizeSettings


SourceImage = Literal["other", "same"]

_RESIZED_IN_PLACE = "in_place leaves patches where they are: set resize_bounds to none"


class NSASettings(LabelSettings):
    """Everything that, with two images and a seed, decides an NSA anomaly (arXiv 2109.15222).

    Bounds are half-widths of a patch as fractions of the image side; `background` is (brightness,
    threshold) in grey levels, None where no object is told from it; resize_bounds None keeps a
    patch's size; `in_place` leaves it where it was taken. `factor_bounds` is the weight of a patch:
    of its pixels where it is interpolated, of its gradients where it is blended.
    """

    height_bounds: HalfWidths = (0.03, 0.4)
    width_bounds: HalfWidths = (0.03, 0.4)
    patches: int = Field(default=3, ge=1)
    resize_bounds: Scales | None = (0.7, 1.3)
    clone: PasteMode = "normal"
    shape: PatchShape = "rectangle"
    source: SourceImage = "other"
    in_place: bool = False
    factor_bounds: Weights = (1.0, 1.0)
    background: BackgroundLevels | None = None
    minimum_object: Share = 0.25
    minimum_overlap: Share = 0.25
    label: LabelKind = "logistic"
    gamma_shape: Positive = 2.0
    gamma_scale: Positive = 0.05
    gamma_offset: NotNegative = 0.03
    despeckle: bool = True

    @model_validator(mode="after")
    def _patch_in_place_keeps_its_size(self) -> Self:
        if self.in_place and self.resize_bounds is not None:
            raise ValueError(_RESIZED_IN_PLACE)
        return self


class NSAOverrides(Frozen):
    """NSA settings that replace the category's own; None keeps the category's, "none" has none."""

    height_bounds: HalfWidths | None = None
    width_bounds: HalfWidths | None = None
    patches: int | None = Field(default=None, ge=1)
    resize_bounds: Scales | Literal["none"] | None = None
    clone: PasteMode | None = None
    shape: PatchShape | None = None
    source: SourceImage | None = None
    in_place: bool | None = None
    factor_bounds: Weights | None = None
    background: BackgroundLevels | Literal["none"] | None = None
    minimum_object: Share | None = None
    minimum_overlap: Share | None = None
    label: LabelKind | None = None
    logistic_k: Positive | None = None
    logistic_x0: NotNegative | None = None
    gamma_shape: Positive | None = None
    gamma_scale: Positive | None = None
    gamma_offset: NotNegative | None = None
    tolerance: NotNegative | None = None
    despeckle: bool | None = None

    @model_validator(mode="after")
    def _patch_in_place_keeps_its_size(self) -> Self:
        # every category resizes unless told otherwise
        if self.in_place and self.resize_bounds != "none":
            raise ValueError(_RESIZED_IN_PLACE)
        return self

    def values(self) -> dict[str, object]:
        """Return what is overridden."""
        chosen = self.model_dump(exclude_none=True)
        return {name: None if value == "none" else value for name, value in chosen.items()}


class NSA:
    """The NSA generator of the registry."""

    def resolve(self, decision: Decision, settings: "SynthesizeSettings") -> NSASettings:
        """Return the authors' settings of a class, else of its kind, with the user's on top."""
        values = class_table()["kinds"][decision.kind] | decision.row
        values |= {"background": decision.background} | settings.nsa.values()
        return NSASettings.model_validate(values)

    def load(self, values: Mapping[str, Any]) -> NSASettings:
        """Return the settings that a manifest row holds."""
        return NSASettings.model_validate(values)

    def source(self, settings: NSASettings) -> SourceKind:
        """Return which image the patches come from."""
        return settings.source

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: NSASettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Blend up to `settings.patches` patches of `source` [H, W, 3] into `destination`.

        Returns None where the first patch finds no place or nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        factor = _factor(settings, rng)
        scene = _scene(destination, source, settings)
        image, region, patches = _paste_all(scene, settings, factor, rng)
        return finish(destination, image, region, settings, factor, patches)


def _factor(settings: NSASettings, rng: np.random.Generator) -> float:
    low, high = settings.factor_bounds
    return low if low == high else float(rng.uniform(low, high))


def _scene(
    destination: NDArray[np.uint8], source: NDArray[np.uint8], settings: NSASettings
) -> Scene:
    if settings.background is None:
        return Scene(destination, source, None, None)
    objects = (object_mask(image, *settings.background) for image in (destination, source))
    return Scene(destination, source, *objects)


def _paste_all(
    scene: Scene, settings: NSASettings, factor: float, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Patches]:
    image, region = scene.destination, np.zeros(scene.shape, bool)
    patches: list[dict[str, list[int]]] = []
    for _ in range(1 + int((rng.random(settings.patches - 1) < 0.5).sum())):
        patch = sample_patch(scene, settings, rng)
        pasted = None if patch is None else paste(image, patch, settings.clone, factor)
        if patch is not None and pasted is not None:
            image = pasted
            region[patch.window] |= patch.region
            patches.append(patch.numbers())
        elif not patches:
            break
    return image, region, tuple(patches)
