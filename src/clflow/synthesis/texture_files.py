"""The folder of texture images: which there are, and which serve which split."""

from collections.abc import Iterator
from pathlib import Path

from clflow.errors import DataError
from clflow.files import sha256_of
from clflow.paths import TEXTURES
from clflow.synthesis.rows import Origin

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
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
        f"synthesize.textures {folder!r} holds no image ({', '.join(SUFFIXES)}): give a folder of "
        f"texture images, or {TEXTURES} for the textures of the download stage"
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
    return (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _origin(path: Path, folder: Path, place: int) -> Origin:
    return Origin(path.relative_to(folder).as_posix(), sha256_of(path), place)
