"""Stage `synthesize`: make the bank of synthetic anomalies of one category."""

import typer

from clflow.data.records import read_manifest
from clflow.device import worker_count
from clflow.pipeline.stage import stage
from clflow.progress import say
from clflow.study.paths import StudyPaths
from clflow.study.settings import StudySettings
from clflow.synthesis.bank import announce, read_bank, write_bank
from clflow.synthesis.preview.report import write_report
from clflow.tracking.live import track_bank


def main(category: str) -> None:
    with stage() as params:
        study: StudySettings = params.study
        root, bank = study.root_of(category), StudyPaths(study.name).bank(category)
        settings = params.synthesize
        manifest = read_manifest(StudyPaths(study.name).manifest(category))
        announce(manifest, root, study.dataset, settings)
        summary = write_bank(
            manifest,
            root,
            bank,
            study.dataset,
            settings,
            worker_count(),
        )
        for split, counts in summary.splits.items():
            say(f"{category} {split}: {counts.written} anomalies, {counts.failed} found no place")
        report = StudyPaths(study.name).bank_report(category)
        write_report(read_bank(bank, "train"), root, report, f"{study.name}/{category} train")
        track_bank(study.name, category)


if __name__ == "__main__":
    typer.run(main)
