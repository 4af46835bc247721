"""Images and anomalies brought into one pose for a detector, and its maps brought back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from clflow.alignment.image_alignment import ImageAlignment
from clflow.alignment.settings import ImageAlignmentSettings
from clflow.alignment.warp import identity, inverse, warp
from clflow.data.images import ArrayImages, ImageSource
from clflow.features.store import read_pixels
from clflow.progress import say
from clflow.synthesis.synthetic import component_boxes
from clflow.synthesis.training_data import SyntheticAnomalies

# what a template is made from and judged by: more images change little and cost time
_LOOKED_AT = 80


@dataclass(frozen=True)
class Posed:
    """Images in one pose and the maps theta [N, 2, 3] that brought them there, None for none."""

    images: ImageSource
    theta: Tensor | None


def fit_alignment(
    settings: ImageAlignmentSettings,
    images: ImageSource,
    size: int,
    seed: int,
    *,
    stretched: bool = False,
) -> ImageAlignment | None:
    """Return the alignment of a category's good images, None where it is off or does not pay.

    Args:
        images: good images; a part of them, evenly spaced, is looked at.
        size: side in pixels of the squares that are aligned.
        seed: of a learned transformer.
        stretched: whether the detector sees all images as squares; if not, images that are not
            square keep their shape, and are left as they are.
    """
    if settings.kind == "none":
        return None
    places = np.linspace(0, len(images) - 1, min(len(images), _LOOKED_AT)).round().astype(int)
    some = [images[int(place)] for place in places]
    if not stretched and any(image.shape[0] != image.shape[1] for image in some):
        say("image alignment off: the images are not square")
        return None
    pixels = read_pixels(ArrayImages(some), size, "good images to align")
    alignment = ImageAlignment(settings, seed).fit(pixels)
    return alignment if alignment.active_ else None


def posed(alignment: ImageAlignment | None, images: ImageSource, size: int, label: str) -> Posed:
    """Return images, squeezed to size x size, in one pose, or as they came without an alignment."""
    if alignment is None:
        return Posed(images, None)
    pixels = read_pixels(images, size, label)
    theta = alignment(pixels)
    arrays = alignment.warped(pixels, theta).permute(0, 2, 3, 1).contiguous().numpy()
    return Posed(ArrayImages(list(arrays)), theta)


def posed_anomalies(
    alignment: ImageAlignment | None, anomalies: SyntheticAnomalies, size: int
) -> SyntheticAnomalies:
    """Return anomalies in one pose, each found from its own image, their masks with them."""
    if alignment is None:
        return anomalies
    found = posed(alignment, anomalies.images, size, "anomalies to align")
    masks = [_turned(anomalies.masks(i), theta, size) for i, theta in enumerate(_each(found))]
    return replace(
        anomalies,
        images=found.images,
        masks=lambda index: masks[index],
        boxes=tuple(component_boxes(mask) for mask in masks),
    )


def restored(maps: Tensor, theta: Tensor | None, size: int | None = None) -> Tensor:
    """Return anomaly maps in the frame of the images as they came, made squares.

    Args:
        maps: [N, S, S].
        theta: what brought the images into one pose [N, 2, 3], None for nothing.
        size: side of the maps that are returned, None for S.
    """
    if theta is None:
        if size is None:
            return maps
        theta = identity(len(maps))
    return warp(maps[:, None], inverse(theta).to(maps), size or maps.shape[-1])[:, 0]


def _each(found: Posed) -> Sequence[Tensor]:
    assert found.theta is not None
    return list(found.theta.split(1))


def _turned(mask: np.ndarray, theta: Tensor, size: int) -> np.ndarray:
    shares = torch.from_numpy(mask.astype(np.float32))[None, None]
    return (warp(shares, theta, size, padding="zeros")[0, 0] > 0.5).numpy()


class Alignment(Protocol):
    """What brings images into one pose."""

    def proposed(self, pixels: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] of uint8 images [N, 3, S, S]."""

    def warped(self, pixels: Tensor, theta: Tensor) -> Tensor:
        """Return uint8 images [N, 3, S, S] seen through theta [N, 2, 3]."""


@runtime_checkable
class AligningDetector(Protocol):
    """Something that can bring images into one pose first, which can then be looked at."""

    @property
    def alignment_(self) -> Alignment | None:
        """What was fitted, None where nothing was."""
