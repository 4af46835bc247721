"""Published values with their provenance, and which of them a study's own are put beside."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("published.csv")
UNVERIFIED = "‡"
ALL = "avg_all"
DATASETS = {"mvtec_ad": "MVTec AD", "btad": "BTAD", "rcxr": "rCXR (curated NIH ChestX-ray14)"}
# our names of categories by the printed ones, where they differ
CATEGORIES = {"rcxr": {"male_PA": "male", "female_PA": "female"}}
# in what a study of ours may differ on a data set, whatever the method
DATASET_REMARKS = {"rcxr": "our lists may hold other images than the authors'"}
# "aupro" without its limit is left out: what it was integrated to is not stated
METRIC_NAMES = {
    "image_auroc": "image_auroc",
    "pixel_auroc": "pixel_auroc",
    "aupro_30": "aupro_fpr0.3",
}
_NOT_KNOWN = "which epoch is reported is not known"
_CROP = "centre crop of 224 from 256 pixels"
_CAIT = "FastFlow (CaiT column assumed: mean 98.5)"
_NSA_PAPER = "NSA (arXiv 2109.15222)"
_NSA_NETWORK = (
    "an encoder-decoder trained as a whole; objects cropped to 224 pixels; image score is the mean "
    "of the map"
)
_NSA_REMADE = (
    "ours holds out good images to set thresholds and shrinks images by area, the authors train on "
    "all and shrink by Lanczos"
)


@dataclass(frozen=True)
class Source:
    """Values of one method in one place.

    `paper` and `entry` are the columns `paper` and `method` of published.csv; without backbone or
    size these are not known. `remark` is what else differs from a study of ours. `remade_as` is the
    method of ours that is the same network with the authors' settings, `remade` in what it differs.
    """

    method: str
    label: str
    paper: str
    entry: str
    backbone: str | None = None
    image_size: int | None = None
    remark: str = ""
    remade_as: str = ""
    remade: str = ""


# Settings as the papers or, for FastFlow and PaDiM, re-implementations (gathierry/FastFlow,
# xiahaifeng1995) state them; None where they are not public or the source does not say.
SOURCES = (
    Source("CL-Flow", "CL-Flow", "CL-Flow (arXiv 2311.06794)", "CL-Flow", remark=_NOT_KNOWN),
    Source(
        "FastFlow",
        "FastFlow (abstract)",
        "FastFlow (arXiv 2111.07677)",
        "FastFlow (best backbone)",
        remark=f"the best of four backbones; {_NOT_KNOWN}",
    ),
    Source(
        "FastFlow",
        "FastFlow (paper)",
        "FastFlow (arXiv 2111.07677)",
        "FastFlow (paper Table 2)",
        remark=f"trained with augmentation; {_NOT_KNOWN}",
    ),
    Source(
        "FastFlow",
        "FastFlow (paper)",
        "FastFlow (arXiv 2111.07677)",
        "FastFlow",
        remark=_NOT_KNOWN,
    ),
    Source(
        "FastFlow",
        "FastFlow WideResNet-50",
        "FastFlow (arXiv 2111.07677)",
        "FastFlow wide_resnet50_2",
        backbone="wide_resnet50_2",
        image_size=256,
        remark=_NOT_KNOWN,
    ),
    Source(
        "FastFlow",
        "FastFlow (quoted by DANFlow)",
        "DANFlow README",
        _CAIT,
        backbone="cait_m48_448",
        image_size=448,
        remark=f"backbone assumed from the mean; {_NOT_KNOWN}",
    ),
    Source(
        "FastFlow",
        "FastFlow (run by DANFlow)",
        "DANFlow README",
        "FastFlow",
        remark=_NOT_KNOWN,
    ),
    Source(
        "NSA (logistic)",
        "NSA (logistic)",
        _NSA_PAPER,
        "NSA (logistic)",
        backbone="resnet18",
        image_size=256,
        remark=_NSA_NETWORK,
        remade_as="nsa",
        remade=_NSA_REMADE,
    ),
    *(
        Source(
            name,
            f"{name} (run by NSA)",
            _NSA_PAPER,
            entry,
            backbone="resnet18",
            image_size=256,
            remark=f"the NSA authors' variant, {seeds}; {_NSA_NETWORK}",
            remade_as=method,
            remade=f"{seeds}; {_NSA_REMADE}",
        )
        for name, entry, method, seeds in (
            ("FPI", "FPI", "fpi", "one seed"),
            ("PII", "PII = FPI-Poisson", "pii", "five seeds"),
            ("CutPaste", "CutPaste (end-to-end)", "cutpaste", "one seed"),
        )
    ),
    Source(
        "FYD",
        "FYD (leaderboard)",
        "FYD (arXiv 2110.04538)",
        "FYD",
        remark=f"as leaderboards quote it, not seen in the paper; {_NOT_KNOWN}",
    ),
    Source(
        "PatchCore",
        "PatchCore (best released)",
        "PatchCore (arXiv 2106.08265)",
        "PatchCore (best released model)",
        remark="the best of several released models",
    ),
    Source(
        "PatchCore",
        "PatchCore (quoted by DANFlow)",
        "DANFlow README",
        "PatchCore",
        remark="the quoted table does not state the setting",
    ),
    Source(
        "PatchCore",
        "PatchCore (anomalib)",
        "anomalib re-implementation",
        "PatchCore Wide ResNet-50 (seed 42)",
        backbone="wide_resnet50_2",
        remark="one seed",
    ),
    Source(
        "PatchCore",
        "PatchCore (anomalib)",
        "anomalib re-implementation",
        "PatchCore (default config: wide_resnet50_2)",
        backbone="wide_resnet50_2",
        remark="one run",
    ),
    Source(
        "PaDiM",
        "PaDiM (quoted by NSA)",
        _NSA_PAPER,
        "PaDiM-WR50-Rd550",
        backbone="wide_resnet50_2",
        image_size=224,
        remark=_CROP,
    ),
    Source(
        "PaDiM",
        "PaDiM (xiahaifeng1995)",
        "xiahaifeng1995 PaDiM re-implementation",
        "PaDiM WR50-Rd550",
        backbone="wide_resnet50_2",
        image_size=224,
        remark=_CROP,
    ),
    Source(
        "PaDiM",
        "PaDiM (quoted by DANFlow)",
        "DANFlow README",
        "PaDiM",
        remark="the quoted table does not state the setting",
    ),
    Source(
        "PaDiM",
        "PaDiM (anomalib)",
        "anomalib re-implementation",
        "PaDiM (default config: resnet18)",
        backbone="resnet18",
        remark="one run",
    ),
)
METHODS = tuple(dict.fromkeys(source.method for source in SOURCES))


@dataclass(frozen=True)
class Value:
    """A published value as a fraction, NaN as spread where none is given; where it was seen.

    `averaged` where it is our mean of published values, not a printed one.
    """

    value: float
    std: float
    source: str
    seen: str
    averaged: bool = False

    @property
    def verified(self) -> bool:
        """Whether it was seen in the place that `source` names, and that is no leaderboard."""
        return self.seen.startswith(("yes", "computed")) and "leaderboard" not in self.seen


Values = Mapping[tuple[str, str], Value]


@cache
def load_published() -> pd.DataFrame:
    """Return all published values as they are printed: texts, percentages for rates."""
    return pd.read_csv(FILE, dtype=str, keep_default_na=False)


def categories_of(dataset: str) -> frozenset[str]:
    """Return the categories of a data set that has published values, by our names."""
    table = _rows_of(dataset)
    names = table.loc[table["metric"].isin(METRIC_NAMES.values()), "category"]
    return frozenset(name for name in names if not name.startswith("avg_"))


def values_of(source: Source, dataset: str) -> Values:
    """Return a source's values on a data set by category and our name of the metric."""
    table = _rows_of(dataset)
    own = table[(table["paper"] == source.paper) & (table["method"] == source.entry)]
    return dict(_values(own))


def _rows_of(dataset: str) -> pd.DataFrame:
    """Return the rows of a data set with our names of its categories."""
    table = load_published()
    own = table[table["dataset"] == DATASETS.get(dataset)]
    return own.assign(category=own["category"].replace(CATEGORIES.get(dataset, {})))


def _values(own: pd.DataFrame) -> Iterator[tuple[tuple[str, str], Value]]:
    rows = {(row["category"], row["metric"]): row for row in own.to_dict("records")}
    for name, printed in METRIC_NAMES.items():
        for (category, metric), row in rows.items():
            if metric == printed:
                spread = rows.get((category, f"{printed}_std"), {}).get("value", "NaN")
                numbers = _fraction(row["value"]), _fraction(spread)
                yield (category, name), Value(*numbers, row["source"], row["seen_verbatim"])


def _fraction(percentage: str) -> float:
    return float(Decimal(percentage) / 100)
