"""Run files and raw scores of a tiny study for the tests of the tables."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clflow.files import write_json
from clflow.metrics.registry import METRICS
from clflow.report.results import read_results, score_file
from clflow.report.tables import Sources
from clflow.study.settings import StudySettings

DATASET = "mvtec_ad"


def folders(*categories: str, dataset: str = DATASET) -> dict[str, str]:
    """Return where the download stage puts categories."""
    return {name: f"data/raw/{dataset}/images/{name}" for name in categories}


STUDY = StudySettings(
    name="small",
    dataset=DATASET,
    layout="mvtec_ad",
    index="data/raw/mvtec_ad/source.json",
    categories=folders("metal_nut", "bottle"),
    methods=("clflow", "fast_flow"),
    seeds=(0, 1),
)
GOOD, ANOMALOUS = 10, 20


def write_run(
    folder: Path,
    method: str,
    category: str,
    seeds: dict[int, dict[str, float | None]],
    /,
    **changes: Any,
) -> Path:
    """Write a run file of which every metric that is not given is 0.5."""
    run = {
        "study": folder.name,
        "dataset": DATASET,
        "category": category,
        "method": method,
        "protocol": {"threshold": "0.95 quantile", "masks": "at the input size"},
        "counts": {"test_good": GOOD, "test_anomalous": ANOMALOUS, "test_without_mask": 0},
        "digests": {"manifest": f"manifest of {category}", "bank": "b"},
        "seeds": {str(s): {**dict.fromkeys(METRICS, 0.5), **own} for s, own in seeds.items()},
    }
    path = folder / method / f"{category}.json"
    write_json(path, run | changes)
    return path


def write_study(folder: Path, values: dict[str, dict[str, list[float | None]]]) -> pd.DataFrame:
    """Write runs of image_auroc values[category][method][seed], and return the tidy table."""
    for category, methods in values.items():
        for method, column in methods.items():
            seeds = {seed: {"image_auroc": value} for seed, value in enumerate(column)}
            write_run(folder, method, category, seeds)
    methods = next(iter(values.values()))
    seeds_run = range(len(next(iter(methods.values()))))
    return read_results(folder, list(values), list(methods), seeds_run)


def scores_of(auroc: float) -> list[float]:
    """Return scores of `GOOD` good, then `ANOMALOUS` anomalous images with an AUROC of k / 200.

    Good images score 0, 1, ..., so that an anomalous one scores above as many as `above` says.
    """
    pairs = round(auroc * GOOD * ANOMALOUS)
    above = [pairs // ANOMALOUS + (i < pairs % ANOMALOUS) for i in range(ANOMALOUS)]
    return [*range(GOOD), *(count - 0.5 for count in above)]


def score_table(scores: list[float]) -> pd.DataFrame:
    """Return the table of a score file, with a validation image that no test may count."""
    labels = [0] * GOOD + [1] * ANOMALOUS
    test = {
        "path": [f"test/{index:03d}.png" for index in range(len(labels))],
        "split": "test",
        "label": labels,
        "defect": ["crack" if label else "good" for label in labels],
        "score": np.array(scores, dtype=np.float32),
    }
    other = {"path": ["v.png"], "split": ["validation"], "label": [0], "defect": ["good"]}
    return pd.concat([pd.DataFrame(test), pd.DataFrame(other | {"score": np.float32([99])})])


def write_scores(
    folder: Path, method: str, category: str, seed: int, scores: list[float] | None = None
) -> Path:
    """Write the scores of a run, without others those of an image AUROC of 0.5."""
    path = score_file(folder, method, category, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = score_table(scores_of(0.5) if scores is None else scores)
    table.to_parquet(path, index=False)
    return path


def sources_of(folder: Path) -> Sources:
    """Return where a study's runs, in `folder`, and their scores are."""
    return Sources(folder, folder.parents[2] / "scores" / folder.name)


def write_full_study(
    folder: Path, values: dict[str, dict[str, list[float]]]
) -> tuple[StudySettings, Sources]:
    """Write runs and scores of image AUROCs values[category][method][seed], multiples of 1/200."""
    frame = write_study(folder, values)  # type: ignore[arg-type]
    categories, methods, seeds = (
        tuple(frame[column].unique().tolist()) for column in ("category", "method", "seed")
    )
    sources = sources_of(folder)
    for category, method, seed in itertools.product(categories, methods, seeds):
        own = scores_of(values[category][method][seed])
        write_scores(sources.scores, method, category, seed, own)
    study = {"categories": categories, "methods": methods, "seeds": seeds}
    return STUDY.model_copy(update=study), sources
