"""A study of one small category as the stages before training leave it, for tests in process."""

from pathlib import Path
from typing import Any

from builders import mvtec_category, save
from flow_cases import small_settings

from clflow.data.images import read_image
from clflow.data.manifest import build_manifest
from clflow.data.preparation import PrepareSettings
from clflow.data.records import Manifest, write_manifest
from clflow.study.paths import StudyPaths
from clflow.synthesis.rows import MANIFEST, BankRow, Origin, to_line

STUDY, CATEGORY, ROOT = "small", "widget", Path("images")
METHOD = "fastflow"


def fastflow_settings(**changes: Any) -> dict[str, Any]:
    """Return complete settings of a method that learns from good images alone."""
    return small_settings(METHOD, **changes).model_dump(mode="json")


def write_tiny_study() -> Manifest:
    """Write images, manifest and bank into the working directory; no anomalies to train on."""
    mvtec_category(ROOT, CATEGORY, size=(64, 64))
    manifest = build_manifest(ROOT, CATEGORY, "mvtec_ad", PrepareSettings()).manifest
    write_manifest(StudyPaths(STUDY).manifest(CATEGORY), manifest)
    bank = StudyPaths(STUDY).bank(CATEGORY)
    (bank / "train").mkdir(parents=True)
    (bank / "train" / MANIFEST).touch()
    _write_validation(bank / "validation", manifest)
    return manifest


def _write_validation(folder: Path, manifest: Manifest) -> None:
    lines = []
    for index, held_out in enumerate(manifest.validation):
        origin, name = Origin(held_out.path, held_out.sha256, index), Path(f"{index:05d}.png")
        save(folder / name, 255 - read_image(ROOT / held_out.path))
        row = BankRow(
            index, name, name, (), "nsa", {}, "binary", 64, 64, 0, 0, origin, origin, patches=()
        )
        lines.append(to_line(row) + "\n")
    (folder / MANIFEST).write_text("".join(lines))
