"""Stage `optimism`: train one method on one category again and watch the test metrics meanwhile."""

from pathlib import Path

import typer

from clflow.data.records import read_manifest
from clflow.detectors.registry import find_method
from clflow.evaluation.evaluate import Subject
from clflow.evaluation.settings import EvaluateSettings
from clflow.files import sha256_of
from clflow.optimism.observe import Observed, observe
from clflow.optimism.settings import OptimismSettings
from clflow.params import parse, section
from clflow.paths import bank_folder, manifest_path
from clflow.stage import prepare_torch, stage


def main(method: str, category: str) -> None:
    with stage() as (study, params):
        prepare_torch()
        bank, found = bank_folder(study.name, category), find_method(method)
        settings = found.complete(section(params, f"train.{method}"))
        subject = Subject(
            study=study.name,
            dataset=study.dataset,
            method=found,
            manifest=read_manifest(manifest_path(study.name, category)),
            root=Path(study.root),
            bank=bank,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        observed = Observed(
            subject=subject,
            settings=found.shortened(settings, study.step_fraction),
            evaluate=parse(EvaluateSettings, section(params, "evaluate"), "evaluate"),
            points=parse(OptimismSettings, section(params, "optimism"), "optimism").points,
        )
        observe(observed, study.seeds)


if __name__ == "__main__":
    typer.run(main)
