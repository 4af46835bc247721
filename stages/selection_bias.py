"""Stage `selection_bias`: train a method once more and watch the test metrics meanwhile."""

from pathlib import Path

import typer

from clflow.data.records import read_manifest
from clflow.detectors.registry import find_method
from clflow.device import prepare_torch
from clflow.files import sha256_of
from clflow.pipeline.evaluate import Subject
from clflow.pipeline.selection_bias import Observed, observe
from clflow.pipeline.settings import EvaluateSettings, SelectionBiasSettings
from clflow.pipeline.stage import stage
from clflow.settings import parse, section
from clflow.study.paths import StudyPaths


def main(method: str, category: str) -> None:
    with stage() as (study, params):
        prepare_torch()
        bank, found = StudyPaths(study.name).bank(category), find_method(method)
        settings = found.complete(section(params, f"train.{method}"))
        subject = Subject(
            study=study.name,
            dataset=study.dataset,
            method=found,
            manifest=read_manifest(StudyPaths(study.name).manifest(category)),
            root=Path(study.root),
            bank=bank,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        observed = Observed(
            subject=subject,
            settings=found.shortened(settings, study.step_fraction),
            evaluate=parse(EvaluateSettings, section(params, "evaluate"), "evaluate"),
            points=parse(
                SelectionBiasSettings, section(params, "selection_bias"), "selection_bias"
            ).points,
        )
        observe(observed, study.seeds)


if __name__ == "__main__":
    typer.run(main)
