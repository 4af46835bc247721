"""Whether a threshold keeps its promise on real images: split against cross-conformal.

`python benchmarks/coverage.py --data DIR --out DIR` measures every category of `--data` below it,
method and seed that has no file in `--out` yet, then prints tables as Markdown; `--category`,
`--method` and `--seed` limit what is measured, `--report` measures nothing. A seed draws the
held-out images as well as what the detector draws.

- split: a tenth of the good images is held out, and sets the threshold of a detector of the rest.
- cross: the detector learns from all of them; each sets the threshold by a score of statistics
  that have not seen it: `cross_fitted` of PaDiM, and for a flow, the one that was trained on all,
  after the normalisation of the other folds.
- refit: the same by whole detectors, each fitted without a fold (`--refits`).
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import pandas as pd
import torch
import typer
from scipy.stats import ks_2samp

from clflow.alignment.posed import posed
from clflow.data.assessment import PrepareSettings
from clflow.data.images import FileImages
from clflow.data.manifest import build_manifest
from clflow.data.records import Record
from clflow.detectors.flow.dataset import fit_normalizations, gather
from clflow.detectors.folds import split
from clflow.detectors.protocol import CrossFitted, Scores
from clflow.detectors.registry import find_method
from clflow.files import write_json
from clflow.metrics.conformal import chance_of, promise
from clflow.metrics.image import image_metrics
from clflow.report.coverage import COLUMNS, Coverage, alarm_curve, draw_coverage
from clflow.report.curves import RateCurve, Rates, mean_curve
from clflow.report.style import save
from clflow.settings import parse
from clflow.statistics.delong import placements
from clflow.statistics.proportion import proportion_interval
from clflow.synthesis.fresh import fresh_anomalies
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import TrainingData

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
FOLDS = 10
METHODS = ("padim", "clflow")
WAYS = ("split", "cross", "refit")
KINDS = {"score": "images", "peak": "regions"}

Runs = list[dict[str, Any]]
Found = dict[tuple[str, str, int], dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """A category of `root`, with the method and seed it is measured with."""

    root: Path
    category: str
    method: str
    seed: int

    def file(self, out: Path) -> Path:
        """Return where its scores are kept."""
        return out / self.method / self.category / f"seed-{self.seed}.json"


def places(
    data: Path, categories: Sequence[str], methods: Sequence[str], seeds: Sequence[int]
) -> Iterator[Place]:
    """Yield what is measured, by seed, then method, then category."""
    folders = sorted(path.parents[1] for path in data.glob("*/*/train/good"))
    for seed in seeds:
        for method in methods:
            for folder in folders:
                if not categories or folder.name in categories:
                    yield Place(folder.parent, folder.name, method, seed)


def measured(place: Place, refits: int) -> dict[str, Any]:
    """Return what calibrates, what is tested, and seconds, of each way."""
    prepared = build_manifest(
        place.root, place.category, "mvtec_ad", PrepareSettings(seed=place.seed)
    )
    manifest = prepared.manifest
    good = sorted((*manifest.train, *manifest.validation), key=lambda record: record.path)
    test, labels = files(place, manifest.test), [record.label for record in manifest.test]
    found: dict[str, Any] = {"labels": labels}
    with timed(found, "split", "fit"):
        detector = fitted(place, manifest.train)
    with timed(found, "split", "calibrate"):
        held_out = detector.score(files(place, manifest.validation))
    found["split"] |= {"held_out": numbers(held_out), "test": numbers(detector.score(test))}
    with timed(found, "cross", "fit"):
        detector = fitted(place, good)
    with timed(found, "cross", "calibrate"):
        held_out = cross_fitted(detector, files(place, good))
    found["cross"] |= {"held_out": numbers(held_out), "test": numbers(detector.score(test))}
    if refits:
        with timed(found, "refit", "calibrate"):
            held_out = refitted(place, good, refits)
        found["refit"] |= {"held_out": numbers(held_out), "test": found["cross"]["test"]}
        found["refit"]["seconds"]["fit"] = found["cross"]["seconds"]["fit"]
    return found


def files(place: Place, records: Sequence[Record]) -> FileImages:
    """Return the images of some records."""
    return FileImages(tuple(place.root / record.path for record in records))


def fitted(place: Place, records: Sequence[Record]) -> Any:
    """Return a detector with default settings, fitted on good images."""
    method = find_method(place.method)
    settings = parse(method.settings_model, method.complete({}), f"train.{place.method}")
    detector = method.detector_class()(settings, method=place.method)
    generator = torch.Generator().manual_seed(place.seed)
    images = files(place, records)
    if not detector.learns_from_anomalies:
        return detector.fit(TrainingData(images), generator)
    own = settings.model_dump(include={"image_size", "aspect"})
    with fresh_anomalies(images, SynthesizeSettings(**own)) as data:
        return detector.fit(data, generator)


def cross_fitted(detector: Any, images: FileImages) -> Scores:
    """Return scores of the good images of a training by statistics that have not seen them."""
    if isinstance(detector, CrossFitted):
        return detector.cross_fitted(images, FOLDS)
    settings, whole = detector.settings, detector.normalizations_
    found = posed(detector.alignment_, images, settings.image_size, "good images to align")
    good = gather(detector.store.features(found.images, "features", None), settings)
    scores, peaks = np.empty(len(images), np.float32), np.empty(len(images), np.float32)
    for others, rows in split(len(images), FOLDS, detector.seed_):
        fitted_on = fit_normalizations([level[others] for level in good], settings)
        detector.normalizations_ = torch.nn.ModuleList(fitted_on)
        own = detector.score(FileImages(tuple(images.paths[index] for index in rows.tolist())))
        scores[rows.numpy()] = own.image_scores
        peaks[rows.numpy()] = own.anomaly_maps.max((1, 2))
    detector.normalizations_ = whole
    return Scores(scores, peaks[:, None, None])


def refitted(place: Place, records: Sequence[Record], folds: int) -> Scores:
    """Return scores of good images, each by a whole detector that has not seen its fold."""
    images, peaks = np.empty(len(records), np.float32), np.empty(len(records), np.float32)
    for others, rows in split(len(records), folds, place.seed):
        detector = fitted(place, [records[index] for index in others.tolist()])
        scores = detector.score(files(place, [records[index] for index in rows.tolist()]))
        images[rows.numpy()] = scores.image_scores
        peaks[rows.numpy()] = scores.anomaly_maps.max((1, 2))
    return Scores(images, peaks[:, None, None])


def numbers(scores: Scores) -> dict[str, list[float]]:
    """Return image scores, and the highest pixel of each map."""
    peaks = scores.anomaly_maps.max((1, 2))
    return {"score": scores.image_scores.tolist(), "peak": peaks.tolist()}


@contextmanager
def timed(found: dict[str, Any], way: str, step: str) -> Iterator[None]:
    """Note how many seconds a step of a way takes."""
    start = time.perf_counter()
    yield
    seconds = found.setdefault(way, {}).setdefault("seconds", {})
    seconds[step] = round(time.perf_counter() - start, 1)


@dataclass(frozen=True)
class Counted:
    """Good test images above a threshold, what it promised, and how often that gives so many."""

    alarms: int
    tested: int
    rate: float
    chance: float
    recall: float


def counted(found: dict[str, Any], way: str, kind: str, rate: float) -> Counted:
    """Return what a threshold for a rate gives on the test images."""
    promised = promise(found[way]["held_out"][kind], rate)
    above = np.array(found[way]["test"][kind]) > promised.threshold
    anomalous = np.array(found["labels"], bool)
    good = int((~anomalous).sum())
    alarms, recall = int(above[~anomalous].sum()), float(above[anomalous].mean())
    return Counted(alarms, good, promised.rate, chance_of(alarms, good, promised), recall)


def read(out: Path) -> Found:
    """Return everything that was measured, by method, category and seed."""
    found = {}
    for path in sorted(out.glob("*/*/seed-*.json")):
        key = (path.parts[-3], path.parts[-2], int(path.stem.partition("-")[2]))
        found[key] = json.loads(path.read_text())
    return found


def categories_of(found: Found, method: str) -> list[str]:
    """Return the categories that a method was measured on."""
    return list(dict.fromkeys(category for own, category, _ in found if own == method))


def runs_of(found: Found, method: str, category: str) -> Runs:
    """Return what was measured, by seed."""
    return [run for (own, place, _), run in found.items() if (own, place) == (method, category)]


def calibrating_and_good(run: dict[str, Any], way: str) -> tuple[Rates, Rates]:
    """Return the scores that set the threshold, and those of good test images."""
    good = ~np.array(run["labels"], bool)
    return np.array(run[way]["held_out"]["score"]), np.array(run[way]["test"]["score"])[good]


def rate_table(runs: dict[str, Runs], way: str, kind: str) -> pd.DataFrame:
    """Return a row per category and their mean: found rates with intervals, by rate asked for."""
    rows = []
    for category, own in runs.items():
        row = {
            "Category": category,
            "Seeds": str(len(own)),
            "Calibrate": str(round(np.mean([len(run[way]["held_out"][kind]) for run in own]))),
            "Test": str(counted(own[0], way, kind, 0.5).tested),
        }
        rows.append(row | {f"{100 * rate:g} %": cell(own, way, kind, rate) for rate in RATES})
    mean = {"Category": "mean", "Seeds": "", "Calibrate": "", "Test": ""}
    for rate in RATES:
        every = [[counted(run, way, kind, rate) for run in own] for own in runs.values()]
        found = np.mean([np.mean([each.alarms / each.tested for each in own]) for own in every])
        promised = np.mean([np.mean([each.rate for each in own]) for own in every])
        mean[f"{100 * rate:g} %"] = f"{found:.3f} ({promised:.3f})"
    return pd.DataFrame([*rows, mean])


def cell(runs: Runs, way: str, kind: str, rate: float) -> str:
    """Return the mean found rate over seeds, its interval and what was promised.

    A star is where a kept promise gives so many alarms in less than one of twenty draws.
    """
    every = [counted(run, way, kind, rate) for run in runs]
    alarms, tested = np.mean([each.alarms for each in every]), every[0].tested
    interval = proportion_interval(float(alarms), tested)
    mark = " *" if np.median([each.chance for each in every]) < 0.05 else ""
    promised = np.mean([each.rate for each in every])
    return f"{alarms / tested:.3f} [{interval.low:.3f}, {interval.high:.3f}] ({promised:.3f}){mark}"


def shift_table(runs: dict[str, Runs], ways: Sequence[str]) -> pd.DataFrame:
    """Return how often a good test image scores above a calibrating one, and whether by chance.

    One half where they are exchangeable. The p-value is Kolmogorov-Smirnov's, the median over
    seeds.
    """
    rows = []
    for category, own in runs.items():
        row = {"Category": category}
        for way in ways:
            having = [run for run in own if way in run]
            if having:
                found = [_shift(run, way) for run in having]
                above, p = np.mean([each[0] for each in found]), np.median([e[1] for e in found])
                row[way] = f"{above:.2f} (p = {p:.3f})"
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def _shift(run: dict[str, Any], way: str) -> tuple[float, float]:
    held_out, good = calibrating_and_good(run, way)
    labels = np.repeat([0, 1], [len(held_out), len(good)])
    above = placements(labels, np.concatenate([held_out, good])).auroc
    return above, float(ks_2samp(held_out, good).pvalue)


def gain_table(runs: dict[str, Runs], ways: Sequence[str]) -> pd.DataFrame:
    """Return what each way costs in seconds, and detects at 5 %."""
    rows = []
    for category, own in runs.items():
        row: dict[str, str] = {"Category": category}
        for way in ways:
            at = [counted(run, way, "score", 0.05) for run in own]
            aurocs = [
                image_metrics(run["labels"], run[way]["test"]["score"])["image_auroc"] or np.nan
                for run in own
            ]
            fprs = [each.alarms / each.tested for each in at]
            row[f"{way}: AUROC"] = f"{np.mean(aurocs):.4f}"
            row[f"{way}: recall"] = f"{np.mean([each.recall for each in at]):.3f}"
            row[f"{way}: FPR, spread over seeds"] = f"{np.ptp(fprs):.3f}"
            seconds = [run[way]["seconds"] for run in own]
            row[f"{way}: fit + calibrate (s)"] = " + ".join(
                f"{np.mean([each[step] for each in seconds]):.0f}" for step in ("fit", "calibrate")
            )
        rows.append(row)
    return pd.DataFrame(rows)


def figure(out: Path, path: Path) -> None:
    """Draw the coverage of every method and way at 5 %, and at every rate, as SVG."""
    rows: list[list[object]] = []
    curves: dict[str, tuple[RateCurve, ...]] = {}
    for method, way in product(METHODS, WAYS[:2]):
        for category in categories_of(read(out), method):
            runs = runs_of(read(out), method, category)
            every = [counted(run, way, "score", 0.05) for run in runs]
            alarms, tested = np.mean([each.alarms for each in every]), every[0].tested
            interval = proportion_interval(float(alarms), tested)
            promised = float(np.mean([each.rate for each in every]))
            name = f"{method}, {way}"
            rows.append([category, name, promised, alarms / tested, interval.low, interval.high])
            own = mean_curve([alarm_curve(*calibrating_and_good(run, way)) for run in runs])
            curves[name] = (*curves.get(name, ()), own)
    points = pd.DataFrame(rows, columns=list(COLUMNS))
    save(partial(draw_coverage, Coverage(points, curves)), path, ("svg",))


def report(out: Path) -> None:
    """Print the tables of what was measured."""
    found = read(out)
    for method in dict.fromkeys(method for method, _, _ in found):
        own = {
            category: runs_of(found, method, category) for category in categories_of(found, method)
        }
        for way in WAYS:
            having = {c: [run for run in runs if way in run] for c, runs in own.items()}
            having = {c: runs for c, runs in having.items() if runs}
            for kind in kinds_of(having, way):
                show(f"{method}, {way}: {KINDS[kind]}", rate_table(having, way, kind))
        show(f"{method}, good test images above calibrating ones", shift_table(own, WAYS))
        show(f"{method}, gain", gain_table(own, WAYS[:2]))


def kinds_of(runs: dict[str, Runs], way: str) -> list[str]:
    """Return what thresholds are for; regions say the same where a score is its map's peak."""
    every = [run[way]["held_out"] for own in runs.values() for run in own]
    if not every:
        return []
    return [kind for kind in KINDS if kind == "score" or any(e["score"] != e[kind] for e in every)]


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table as Markdown."""
    print(f"\n### {title}\n\n{table.to_markdown(index=False, disable_numparse=True)}")


def main(
    data: Path = Path("../shared/data"),
    out: Path = Path(".clflow/coverage"),
    category: Annotated[list[str] | None, typer.Option()] = None,
    method: Annotated[list[str] | None, typer.Option()] = None,
    seed: Annotated[list[int] | None, typer.Option()] = None,
    refits: int = 0,
    only_report: Annotated[bool, typer.Option("--report")] = False,
    draw: Path | None = None,
) -> None:
    """Measure what is missing in `out`, print the tables, and draw the figure where asked to."""
    cv2.setNumThreads(1)
    wanted = places(data, category or (), method or METHODS, seed or (0, 1, 2))
    for place in () if only_report else wanted:
        path = place.file(out)
        if not path.is_file():
            write_json(path, measured(place, refits))
            print(f"{path}: done", flush=True)
    report(out)
    if draw is not None:
        figure(out, draw)


if __name__ == "__main__":
    typer.run(main)
