"""Stage `prepare`: list, hash and split the images of one category."""

from pathlib import Path

import typer

from clflow.data.assessment import PrepareSettings
from clflow.data.manifest import build_manifest
from clflow.data.records import write_manifest
from clflow.pipeline.stage import stage
from clflow.progress import say
from clflow.settings import parse, section
from clflow.study.paths import StudyPaths


def main(category: str) -> None:
    with stage() as (study, params):
        settings = parse(PrepareSettings, section(params, "prepare"), "prepare")
        prepared = build_manifest(Path(study.root), category, study.layout, settings)
        manifest = prepared.manifest
        for note in prepared.notes:
            say(f"{category}: note: {note}")
        say(
            f"{category}: {len(manifest.train)} to train, {len(manifest.validation)} held out, "
            f"{len(manifest.test)} to test"
        )
        write_manifest(StudyPaths(study.name).manifest(category), manifest)


if __name__ == "__main__":
    typer.run(main)
