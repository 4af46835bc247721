"""Stage `download`: fetch and unpack the data set, render the demo, or note the user's folder."""

from pathlib import Path

import typer

from clflow.data.settings import DownloadSettings
from clflow.device import worker_count
from clflow.pipeline.acquire import acquire, acquire_textures
from clflow.pipeline.stage import stage
from clflow.settings import parse, section


def main() -> None:
    with stage() as (study, params):
        settings = parse(DownloadSettings, section(params, "download"), "download")
        acquire(study.dataset, Path(study.root), settings, worker_count())
        acquire_textures(settings.textures)


if __name__ == "__main__":
    typer.run(main)
