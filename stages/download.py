"""Stage `download`: fetch and unpack the data set, render the demo, or note the user's folder."""

from pathlib import Path

import typer

from clflow.data.acquire import acquire, acquire_textures
from clflow.data.download_settings import DownloadSettings
from clflow.params import parse, section
from clflow.stage import stage, worker_count


def main() -> None:
    with stage() as (study, params):
        settings = parse(DownloadSettings, section(params, "download"), "download")
        acquire(study.dataset, Path(study.root), settings, worker_count())
        acquire_textures(settings.textures)


if __name__ == "__main__":
    typer.run(main)
