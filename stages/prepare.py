"""Stage `prepare`: list, hash and split the images of one category."""

from pathlib import Path

import typer

from clflow.data.manifest import build_manifest
from clflow.data.records import write_manifest
from clflow.data.settings import PrepareSettings
from clflow.params import parse, section
from clflow.paths import manifest_path
from clflow.progress import say
from clflow.stage import announce_synthesis, stage


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
        announce_synthesis(manifest, Path(study.root), study.dataset, params)
        write_manifest(manifest_path(study.name, category), manifest)


if __name__ == "__main__":
    typer.run(main)
