"""What is ignored of a category's images, as the stage `prepare` finds and judges it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clflow.data.decoding import header_of, read_content
from clflow.data.preparation import PrepareSettings
from clflow.data.region_of_interest import RegionOfInterest
from clflow.errors import DataError
from clflow.files import sha256_of


@dataclass(frozen=True, eq=False)
class Ignoring:
    """What is ignored of the images of a category.

    Attributes:
        region: which pixels count, None for all.
        path: the mask, None where there is none.
        sha256: its content.
        problems: why it cannot be used.
        notes: what is worth a look.
    """

    region: RegionOfInterest | None = None
    path: Path | None = None
    sha256: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


NOTHING_IGNORED = Ignoring()


def find_ignored(folder: Path, category: str, settings: PrepareSettings) -> Ignoring:
    """Return what is ignored of a category by its mask, if it has one, and the border."""
    border_alone = Ignoring(RegionOfInterest.read(None, settings.border))
    if settings.ignore is None:
        return border_alone
    path = folder / settings.ignore
    if not path.is_file():
        note = (
            f"there is no {settings.ignore} (prepare.ignore) in {category}: its images are used "
            f"{f'whole but for {settings.border} pixels of border' if settings.border else 'whole'}"
        )
        return replace(border_alone, notes=(note,))
    try:
        if header_of(path, read_content(path)).format != "PNG":
            raise DataError(f"the mask {path} (prepare.ignore) is no PNG: save it as one")
        region = RegionOfInterest.read(path, settings.border)
    except DataError as error:
        return Ignoring(path=path, problems=(str(error),))
    if region is None or region.ignored is None:
        note = f"the mask {path} (prepare.ignore) is black all over: it ignores nothing"
        return Ignoring(region, path, notes=(note,))
    return Ignoring(region, path, sha256_of(path))


def misfits(ignoring: Ignoring, shapes: Mapping[tuple[int, int], str]) -> Ignoring:
    """Return what is ignored with the first problem it has with sizes (H, W) of named images."""
    region = ignoring.region
    if region is None:
        return ignoring
    for shape, name in sorted(shapes.items()):
        if region.ignored is not None and not _is_alike(region.ignored.shape, shape):
            height, width = region.ignored.shape
            problem = (
                f"the mask {ignoring.path} (prepare.ignore) is {width}x{height} but image {name} "
                f"is {shape[1]}x{shape[0]} (width x height): draw it at the size of the images, or "
                "at their aspect ratio"
            )
            return replace(ignoring, problems=(problem,))
        try:
            region.at(*shape)
        except DataError as error:
            return replace(ignoring, problems=(f"image {name}: {error} (prepare.border)",))
    return ignoring


def _is_alike(mask: tuple[int, ...], image: tuple[int, int]) -> bool:
    """Return whether one is the other resized, where sizes are rounded to whole pixels."""
    small, large = sorted((mask, image))
    return any(
        abs(large[1 - axis] * small[axis] / large[axis] - small[1 - axis]) < 1 for axis in (0, 1)
    )
