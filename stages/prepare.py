"""Stage `prepare`: list, hash and split the images of one category."""

import typer

from clflow.data.manifest import build_manifest
from clflow.data.records import write_manifest
from clflow.pipeline.stage import stage
from clflow.progress import say
from clflow.study.paths import StudyPaths
from clflow.study.settings import StudySettings


def main(category: str) -> None:
    with stage() as params:
        study: StudySettings = params.study
        root = study.root_of(category)
        prepared = build_manifest(root, category, study.layout, params.prepare)
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
