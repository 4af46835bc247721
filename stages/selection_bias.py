"""Stage `selection_bias`: train a method once more and watch the test metrics meanwhile."""

import typer

from clflow.data.records import read_manifest
from clflow.detectors.registry import find_method
from clflow.device import prepare_torch
from clflow.files import sha256_of
from clflow.pipeline.evaluate import Subject
from clflow.pipeline.selection_bias import Observed, observe
from clflow.pipeline.stage import stage
from clflow.study.paths import StudyPaths


def main(method: str, category: str) -> None:
    with stage() as params:
        study = params.study
        prepare_torch()
        bank, found = StudyPaths(study.name).bank(category), find_method(method)
        settings = found.complete(params.overrides(method))
        subject = Subject(
            study=study.name,
            dataset=study.dataset,
            method=found,
            manifest=read_manifest(StudyPaths(study.name).manifest(category)),
            root=study.root_of(category),
            bank=bank,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        observed = Observed(
            subject=subject,
            settings=found.shortened(settings, study.step_fraction),
            evaluate=params.evaluate,
            points=params.selection_bias.points,
        )
        observe(observed, study.seeds)


if __name__ == "__main__":
    typer.run(main)
