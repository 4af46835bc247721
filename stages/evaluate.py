"""Stage `evaluate`: score the test images of one category with one method's models and measure."""

import typer

from clflow.data.records import read_manifest
from clflow.detectors.registry import find_method
from clflow.device import prepare_torch
from clflow.files import sha256_of
from clflow.pipeline.evaluate import Subject, evaluate
from clflow.pipeline.stage import stage
from clflow.study.paths import StudyPaths
from clflow.tracking.live import track_evaluation


def main(method: str, category: str) -> None:
    with stage() as params:
        study = params.study
        prepare_torch()
        bank = StudyPaths(study.name).bank(category)
        subject = Subject(
            study=study.name,
            dataset=study.dataset,
            method=find_method(method),
            manifest=read_manifest(StudyPaths(study.name).manifest(category)),
            root=study.root_of(category),
            bank=bank,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        evaluate(subject, study.seeds, params.evaluate)
        track_evaluation(study.name, method, category)


if __name__ == "__main__":
    typer.run(main)
