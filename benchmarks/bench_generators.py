"""What each generator is worth: one method, trained with the anomalies of each in turn.

Run after `dvc repro` (manifests are read): `python benchmarks/bench_generators.py bottle screw`,
with `--seed` for each seed. Everything but the generator is as in params.yaml; banks are made in a
temporary folder, once. Figures are means, and standard deviations over seeds. "all kinds" is the
mean image AUROC of held-out good images against the validation anomalies of each generator. Whoever
trained with a kind is ahead on it; "unseen kinds" leaves that out: on the kinds that a training has
not seen, the mean difference to all trainings that have not seen them either. The second table has
the image AUROC on each kind. The test figures are for reporting.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer

from clflow.data.records import Manifest, read_manifest
from clflow.detectors.protocol import Detector, Workspace
from clflow.detectors.registry import find_method
from clflow.device import prepare_torch, worker_count
from clflow.metrics.image import image_metrics
from clflow.pipeline.inputs import image_files, training_data, validation_anomalies
from clflow.pipeline.measure import CategoryScores, LabelledImages, measure
from clflow.pipeline.params import load_params, load_study
from clflow.pipeline.settings import EvaluateSettings
from clflow.report.summary import cell_text
from clflow.settings import parse
from clflow.study.paths import FEATURES, StudyPaths
from clflow.study.settings import StudySettings
from clflow.synthesis.bank import write_bank
from clflow.synthesis.registry import GENERATORS, MIXTURE

WORKSPACE = Workspace(features=FEATURES)
FIGURES = ["all kinds", "unseen kinds", "test image AUROC", "test pixel AUROC", "test AUPRO"]


@dataclass(frozen=True)
class Trial:
    """A prepared category and where its banks are."""

    study: StudySettings
    manifest: Manifest
    banks: Path

    @property
    def root(self) -> Path:
        """The folder that the manifest's paths are relative to."""
        return self.study.root_of(self.manifest.category)

    def make_bank(self, name: str) -> None:
        """Make the bank of a generator, all else as in params.yaml."""
        settings = load_params().synthesize
        chosen = settings.model_copy(update={"generator": name})
        out, workers = self.banks / name, worker_count()
        write_bank(self.manifest, self.root, out, self.study.dataset, chosen, workers)

    def train(self, method: str, name: str, seed: int) -> Detector:
        """Return a detector trained with the anomalies of a generator."""
        found = find_method(method)
        complete = found.complete(load_params().overrides(method))
        settings = parse(found.settings_model, complete, f"train.{method}")
        data = training_data(self.manifest, self.root, self.banks / name)
        detector = found.detector_class()(settings)
        return detector.fit(data, torch.Generator().manual_seed(seed), WORKSPACE)

    def measure(self, detector: Detector, name: str) -> dict[str, float | str | None]:
        """Return the figures of a detector that was trained with a generator's anomalies."""
        good = detector.score(image_files(self.root, self.manifest.validation), WORKSPACE)
        kinds = {kind: self._synthetic(detector, kind) for kind in GENERATORS}
        test = detector.score(image_files(self.root, self.manifest.test), WORKSPACE)
        scores = CategoryScores(test, good.image_scores, kinds["nsa"])
        images = LabelledImages.read(self.manifest.test, self.root)
        metrics = measure(images, scores, EvaluateSettings()).metrics
        found = {kind: _auroc(good.image_scores, scores) for kind, scores in kinds.items()}
        return {
            "category": self.manifest.category,
            "generator": name,
            **found,
            "all kinds": float(np.mean(list(found.values()))),
            "test image AUROC": metrics["image_auroc"],
            "test pixel AUROC": metrics["pixel_auroc"],
            "test AUPRO": metrics["aupro_30"],
        }

    def _synthetic(self, detector: Detector, kind: str) -> np.ndarray:
        return detector.score(validation_anomalies(self.banks / kind), WORKSPACE).image_scores


def _auroc(good: np.ndarray, anomalous: np.ndarray) -> float:
    labels = np.repeat([0, 1], [len(good), len(anomalous)])
    return image_metrics(labels, np.concatenate([good, anomalous]))["image_auroc"] or 0.0


def trials(trial: Trial, method: str, seeds: list[int]) -> Iterator[dict[str, float | str | None]]:
    """Yield one row per seed for each generator and for the mixture."""
    names = [*GENERATORS, MIXTURE]
    for name in names:
        trial.make_bank(name)
    for name in names:
        for seed in seeds:
            row = {"seed": seed, **trial.measure(trial.train(method, name, seed), name)}
            print(f"seed {seed}: {row}", flush=True)
            yield row


def with_unseen(rows: pd.DataFrame, mixed: set[str]) -> pd.DataFrame:
    """Return the rows with the column "unseen kinds"; `mixed` are the kinds of the mixture."""
    kinds = list(GENERATORS)
    seen = {name: mixed if name == MIXTURE else {name} for name in rows["generator"]}
    known = [[kind in seen[name] for kind in kinds] for name in rows["generator"]]
    unseen = rows[kinds].mask(np.array(known))
    fair = unseen.groupby([rows["category"], rows["seed"]]).transform("mean")
    return rows.assign(**{"unseen kinds": (unseen - fair).mean(axis=1)})


def over_seeds(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return one row per category and generator: mean and sample standard deviation over seeds."""
    groups = rows.groupby(["category", "generator"], sort=False)[columns]
    mean, std = groups.mean(), groups.std()
    texts = {
        name: [cell_text(*pair, 3) for pair in zip(mean[name], std[name], strict=True)]
        for name in mean
    }
    return pd.DataFrame(texts, index=mean.index).reset_index()


def main(
    categories: list[str],
    method: str = "clflow",
    seed: Annotated[list[int] | None, typer.Option()] = None,
) -> None:
    """Print one row per category and generator as Markdown, in two tables."""
    prepare_torch()
    study = load_study()
    synthesis = load_params().synthesize
    rows: list[dict[str, float | str | None]] = []
    seeds = seed or [0]
    for category in categories:
        manifest = read_manifest(StudyPaths(study.name).manifest(category))
        with tempfile.TemporaryDirectory() as folder:
            rows += trials(Trial(study, manifest, Path(folder)), method, seeds)
    print(f"\n{method}, seeds {', '.join(map(str, seeds))}\n")
    table = with_unseen(pd.DataFrame(rows), set(synthesis.mixture))
    for columns in (FIGURES, list(GENERATORS)):
        print(over_seeds(table, columns).to_markdown(index=False, disable_numparse=True) + "\n")


if __name__ == "__main__":
    typer.run(main)
