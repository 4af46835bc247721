"""Stage `download`: fetch and unpack the data set, render the demo, or note the user's folders."""

from pathlib import Path

import typer

from clflow.device import worker_count
from clflow.pipeline.acquire import acquire, acquire_textures
from clflow.pipeline.stage import stage


def main() -> None:
    with stage() as params:
        study = params.study
        own = study.categories.values() if study.source == "folder" else ()
        acquire(study.dataset, [Path(folder) for folder in own], params.download, worker_count())
        acquire_textures(params.download.textures)


if __name__ == "__main__":
    typer.run(main)
