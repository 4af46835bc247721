"""Textures for anomalies: which there are, which split each serves, how DRAEM changes them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from clflow.data.images import IMAGE_SUFFIXES, is_image
from clflow.errors import DataError
from clflow.files import sha256_of
from clflow.synthesis.rows import Origin

Texture = NDArray[np.uint8]
Change = Callable[[Texture, np.random.Generator], Texture]

TEXTURES = Path("data/textures")
_VALIDATION_EVERY = 5


def texture_folder(folder: str) -> str | None:
    """Return a folder that holds textures, None for the default one while it is empty.

    Raises:
        DataError: another folder holds no image.
    """
    if next(_images(Path(folder)), None) is not None:
        return folder
    if Path(folder) == TEXTURES:
        return None
    raise DataError(
        f"synthesize.textures {folder!r} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}): "
        f"give a folder of texture images, or {TEXTURES} for the textures of the download stage"
    )


def texture_origins(folder: str, split: str) -> tuple[Origin, ...]:
    """Return the textures of a split: every fifth is kept for validation.

    Raises:
        DataError: the split gets none.
    """
    paths = sorted(_images(Path(folder)))
    chosen = [
        path
        for place, path in enumerate(paths)
        if (place % _VALIDATION_EVERY == 0) == (split == "validation")
    ]
    if not chosen:
        raise DataError(
            f"{folder} holds {len(paths)} texture image(s), none is left for {split}; "
            "give at least two"
        )
    return tuple(_origin(path, Path(folder), place) for place, path in enumerate(chosen))


def _images(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if is_image(p) and p.is_file())


def _origin(path: Path, folder: Path, place: int) -> Origin:
    return Origin(path.relative_to(folder).as_posix(), sha256_of(path), place)


def change_texture(texture: Texture, count: int, rng: np.random.Generator) -> Texture:
    """Return a texture [H, W, 3] after `count` different changes, drawn without repetition."""
    for index in rng.choice(len(CHANGES), count, replace=False):
        texture = CHANGES[index](texture, rng)
    return texture


def _gamma(texture: Texture, rng: np.random.Generator) -> Texture:
    exponents = rng.uniform(0.5, 2.0, 3)
    return _levels(255 * (texture / 255.0) ** exponents)


def _brightness(texture: Texture, rng: np.random.Generator) -> Texture:
    return _levels(texture * rng.uniform(0.8, 1.2) + rng.uniform(-30, 30))


def _sharpness(texture: Texture, rng: np.random.Generator) -> Texture:
    sharpened = ImageEnhance.Sharpness(Image.fromarray(texture)).enhance(2.0)
    return _levels(texture + rng.uniform(0, 1) * (np.asarray(sharpened, float) - texture))


def _hue_and_saturation(texture: Texture, rng: np.random.Generator) -> Texture:
    hue, saturation = rng.uniform(-50, 50, 2)
    hsv = cv2.cvtColor(texture, cv2.COLOR_RGB2HSV_FULL).astype(float)
    turned = np.mod(np.rint(hsv[..., 0] + hue), 256)
    changed = np.stack([turned, np.clip(hsv[..., 1] + saturation, 0, 255), hsv[..., 2]], axis=2)
    return np.asarray(cv2.cvtColor(_levels(changed), cv2.COLOR_HSV2RGB_FULL), np.uint8)


def _solarize(texture: Texture, rng: np.random.Generator) -> Texture:
    if rng.random() < 0.5:
        return texture
    return _pillow(texture, lambda image: ImageOps.solarize(image, int(rng.integers(32, 129))))


def _posterize(texture: Texture, rng: np.random.Generator) -> Texture:
    return _pillow(texture, lambda image: ImageOps.posterize(image, int(rng.integers(1, 9))))


def _invert(texture: Texture, _: np.random.Generator) -> Texture:
    return 255 - texture


def _autocontrast(texture: Texture, _: np.random.Generator) -> Texture:
    return _pillow(texture, ImageOps.autocontrast)


def _equalize(texture: Texture, _: np.random.Generator) -> Texture:
    return _pillow(texture, ImageOps.equalize)


def _rotate(texture: Texture, rng: np.random.Generator) -> Texture:
    height, width = texture.shape[:2]
    centre = ((width - 1) / 2, (height - 1) / 2)
    turn = cv2.getRotationMatrix2D(centre, float(rng.uniform(-45, 45)), 1.0)
    turned = cv2.warpAffine(texture, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _pillow(texture: Texture, change: Callable[[Image.Image], Image.Image]) -> Texture:
    return np.asarray(change(Image.fromarray(texture)), np.uint8)


def _levels(values: NDArray[np.floating[Any]]) -> Texture:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


CHANGES: tuple[Change, ...] = (
    _gamma,
    _brightness,
    _sharpness,
    _hue_and_saturation,
    _solarize,
    _posterize,
    _invert,
    _autocontrast,
    _equalize,
    _rotate,
)
