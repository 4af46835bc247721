"""Stage `download`: fetch and unpack the data set, render the demo, or note the user's folder."""

import typer

from clflow.data.acquire import acquire
from clflow.data.download_settings import DownloadSettings
from clflow.params import parse, section
from clflow.stage import stage, worker_count


def main() -> None:
    with stage() as (study, params):
        settings = parse(DownloadSettings, section(params, "download"), "download")
        acquire(study, settings, worker_count())


if __name__ == "__main__":
    typer.run(main)
