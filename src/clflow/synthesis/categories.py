"""What is known of a category before anomalies are made for it: its kind, background, settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML

from clflow.synthesis.background import Background, Kind, measure_background
from clflow.synthesis.fields import BackgroundLevels
from clflow.synthesis.settings import SynthesizeSettings


@dataclass(frozen=True)
class Decision:
    """Object or texture, and why.

    background is (brightness, threshold) in grey levels, None where no object is told from it;
    measured is what was measured, None where the class table decides; row is that table's.
    """

    kind: Kind
    background: BackgroundLevels | None
    reason: str
    measured: Background | None
    row: Mapping[str, Any]


def decide(
    dataset: str,
    category: str,
    settings: SynthesizeSettings,
    images: Sequence[NDArray[np.uint8]],
) -> Decision:
    """Decide on a category: by `settings.kind`, else the class table, else by measurement.

    The training images uint8 [H, W, 3] are looked at only where the table has no kind.
    """
    listed = "kind" in _class_row(dataset, category)
    measured = None if listed else measure_background(images)
    return decide_from(dataset, category, settings, measured)


def decide_from(
    dataset: str, category: str, settings: SynthesizeSettings, measured: Background | None
) -> Decision:
    """Decide as `decide` does from what was measured then, None where the table has the kind."""
    row = _class_row(dataset, category)
    listed: Kind | None = row.pop("kind", None)
    background = row.pop("background", None)
    if measured is not None:
        kind, reason = measured.kind, measured.reason
        background = (measured.brightness, measured.threshold)
    elif listed is not None:
        kind, reason = listed, f"{listed}: listed in the class table of NSA"
    if settings.kind != "auto":
        kind, reason = settings.kind, f"{settings.kind}: set by synthesize.kind"
    levels = None if kind == "texture" or background is None else tuple(background)
    return Decision(kind, levels, reason, measured, row)


def _class_row(dataset: str, category: str) -> dict[str, Any]:
    return dict(class_table()["classes"].get(dataset, {}).get(category, {}))


@cache
def class_table() -> dict[str, Any]:
    """Return NSA's settings by kind and by class, from `nsa_classes.yaml`."""
    text = (files("clflow.synthesis") / "nsa_classes.yaml").read_text(encoding="utf-8")
    table: dict[str, Any] = YAML(typ="safe").load(text)
    for rows in (table["kinds"], *table["classes"].values()):
        for row in rows.values():
            row["logistic_k"] = float(Fraction(row["logistic_k"]))
    return table
