"""Stage `evaluate`: score the test images of one category with one method's models and measure."""

from pathlib import Path

import typer

from clflow.data.records import read_manifest
from clflow.detectors.registry import find_method
from clflow.evaluation.evaluate import Subject, evaluate
from clflow.evaluation.settings import EvaluateSettings
from clflow.files import sha256_of
from clflow.params import parse, section
from clflow.paths import bank_folder, manifest_path
from clflow.stage import prepare_torch, stage, track


def main(method: str, category: str) -> None:
    with stage() as (study, params):
        prepare_torch()
        bank = bank_folder(study.name, category)
        subject = Subject(
            study=study.name,
            dataset=study.dataset,
            method=find_method(method),
            manifest=read_manifest(manifest_path(study.name, category)),
            root=Path(study.root),
            bank=bank,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        evaluate(
            subject, study.seeds, parse(EvaluateSettings, section(params, "evaluate"), "evaluate")
        )
        track("track_evaluation", study.name, method, category)


if __name__ == "__main__":
    typer.run(main)
