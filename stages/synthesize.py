"""Stage `synthesize`: make the bank of synthetic anomalies of one category."""

from pathlib import Path

import typer

from clflow.data.records import read_manifest
from clflow.params import parse, section
from clflow.paths import bank_folder, manifest_path
from clflow.progress import say
from clflow.stage import stage, worker_count
from clflow.synthesis.bank import write_bank
from clflow.synthesis.settings import SynthesizeSettings


def main(category: str) -> None:
    with stage() as (study, params):
        settings = parse(SynthesizeSettings, section(params, "synthesize"), "synthesize")
        summary = write_bank(
            read_manifest(manifest_path(study.name, category)),
            Path(study.root),
            bank_folder(study.name, category),
            study.dataset,
            settings,
            worker_count(),
        )
        for split, counts in summary.splits.items():
            say(f"{category} {split}: {counts.written} anomalies, {counts.failed} found no place")


if __name__ == "__main__":
    typer.run(main)
