"""Stage `train`: fit one method on one category, once per seed."""

from pathlib import Path

import typer

from clflow.data.records import read_manifest
from clflow.detectors.inputs import training_data
from clflow.detectors.registry import find_method
from clflow.detectors.runs import Run, failure_of, train_seeds
from clflow.files import sha256_of
from clflow.params import section
from clflow.paths import bank_folder, manifest_path, model_folder
from clflow.progress import say
from clflow.stage import prepare_torch, stage, track


def main(method: str, category: str) -> None:
    with stage() as (study, params):
        prepare_torch()
        manifest = read_manifest(manifest_path(study.name, category))
        bank = bank_folder(study.name, category)
        found = find_method(method)
        settings = found.complete(section(params, f"train.{method}"))
        run = Run(
            study=study.name,
            dataset=study.dataset,
            category=category,
            method=found,
            settings=found.shortened(settings, study.step_fraction),
            manifest_digest=manifest.digest,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        data = training_data(manifest, Path(study.root), bank)
        models = model_folder(study.name, method, category)
        seconds = train_seeds(run, data, study.seeds, models)
        for seed, duration in seconds.items():
            failed = failure_of(models / f"seed-{seed}") is not None
            end = "failed after" if failed else "trained in"
            say(f"{method} {category} seed {seed}: {end} {duration:.0f} s")
        track("track_training", study.name, method, category, seconds)


if __name__ == "__main__":
    typer.run(main)
