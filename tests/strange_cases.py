"""What the stage `prepare` and `clflow data check`, which must agree, make of strange bottles."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from strange import (
    scratched,
)

from clflow.data.check import check_folder, render
from clflow.data.manifest import Prepared, build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import read_manifest, record_mask, write_manifest
from clflow.errors import DataError

LAYOUTS = ("mvtec_ad", "folder")


def prepare(root: Path, layout: str = "mvtec_ad", **given: Any) -> Prepared:
    """Return what the stage makes of the bottles, after it agreed with `clflow data check`."""
    settings = PrepareSettings(**given)
    report = check_folder(root, layout, settings)
    try:
        prepared = build_manifest(root, "bottle", layout, settings)
    except DataError:
        assert not report.ok
        raise
    assert report.ok, printed(report)
    assert prepared.notes == report.categories[0].assessment.notes
    path = root.parent / "manifest.csv"
    write_manifest(path, prepared.manifest)
    assert read_manifest(path) == prepared.manifest
    return prepared


def printed(report: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    render(report, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def refused(root: Path, layout: str = "mvtec_ad", **given: Any) -> str:
    with pytest.raises(DataError) as caught:
        prepare(root, layout, **given)
    return str(caught.value)


def notes(root: Path, layout: str = "mvtec_ad", **given: Any) -> str:
    return "\n".join(prepare(root, layout, **given).notes)


def marked(root: Path, **given: Any) -> list[NDArray[np.bool_]]:
    """Return the masks as the stage evaluate reads them."""
    records = prepare(root, **given).manifest.test
    found = [record_mask(record, root) for record in records if record.label]
    return [mask for mask in found if mask is not None]


def pictures_of(folder: Path) -> list[Path]:
    """Return the images of a category, without masks."""
    return sorted([*folder.glob("train/*/*.*"), *folder.glob("test/*/*.*")])


TRUE = [scratched(200 + index)[1] > 0 for index in range(4)]


def worst_overlap(masks: list[NDArray[np.bool_]]) -> float:
    assert len(masks) == len(TRUE)
    return min(
        float((mask & true).sum() / (mask | true).sum())
        for mask, true in zip(masks, TRUE, strict=True)
    )
