"""Stage `train`: fit one method on one category, once per seed."""

import typer

from clflow.data.records import read_manifest, region_of
from clflow.detectors.registry import find_method
from clflow.device import prepare_torch
from clflow.files import sha256_of
from clflow.pipeline.inputs import image_files, training_data, validation_anomalies
from clflow.pipeline.stage import stage
from clflow.pipeline.train import Material, Run, failure_of, train_seeds, write_losses
from clflow.progress import say
from clflow.study.paths import StudyPaths
from clflow.study.settings import StudySettings
from clflow.tracking.live import track_training


def main(method: str, category: str) -> None:
    with stage() as params:
        study: StudySettings = params.study
        prepare_torch()
        manifest = read_manifest(StudyPaths(study.name).manifest(category))
        bank = StudyPaths(study.name).bank(category)
        found = find_method(method)
        settings = found.complete(params.overrides(method))
        run = Run(
            study=study.name,
            dataset=study.dataset,
            category=category,
            method=found,
            settings=found.shortened(settings, study.step_fraction),
            manifest_digest=manifest.digest,
            bank_digest=sha256_of(bank / "train" / "manifest.jsonl"),
        )
        root = study.root_of(category)
        material = Material(
            data=training_data(manifest, root, bank),
            held_out=image_files(root, manifest.validation),
            anomalies=validation_anomalies(bank),
            shapes=tuple((record.height, record.width) for record in manifest.train),
            reading=manifest.train[0].how(),
            region=region_of(manifest.records, root),
        )
        models = StudyPaths(study.name).models(method, category)
        seconds = train_seeds(run, material, study.seeds, models)
        losses = StudyPaths(study.name).plots(method, category) / "loss.csv"
        write_losses(models, study.seeds, losses)
        for seed, duration in seconds.items():
            failed = failure_of(models / f"seed-{seed}") is not None
            end = "failed after" if failed else "trained in"
            say(f"{method} {category} seed {seed}: {end} {duration:.0f} s")
        track_training(study.name, method, category, seconds)


if __name__ == "__main__":
    typer.run(main)
