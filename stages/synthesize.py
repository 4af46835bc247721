"""Stage `synthesize`: make the bank of synthetic anomalies of one category."""

from pathlib import Path

import typer

from clflow.data.records import read_manifest
from clflow.gallery.report import write_report
from clflow.params import parse, section
from clflow.paths import bank_folder, manifest_path, report_folder
from clflow.progress import say
from clflow.stage import stage, track, worker_count
from clflow.synthesis.bank import read_bank, write_bank
from clflow.synthesis.settings import SynthesizeSettings


def main(category: str) -> None:
    with stage() as (study, params):
        root, bank = Path(study.root), bank_folder(study.name, category)
        settings = parse(SynthesizeSettings, section(params, "synthesize"), "synthesize")
        summary = write_bank(
            read_manifest(manifest_path(study.name, category)),
            root,
            bank,
            study.dataset,
            settings,
            worker_count(),
        )
        for split, counts in summary.splits.items():
            say(f"{category} {split}: {counts.written} anomalies, {counts.failed} found no place")
        report = report_folder(study.name, category)
        write_report(read_bank(bank, "train"), root, report, f"{study.name}/{category} train")
        track("track_bank", study.name, category)


if __name__ == "__main__":
    typer.run(main)
