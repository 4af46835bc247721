"""`clflow data`: look at image folders."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(no_args_is_help=True, help="Look at image folders.")


@app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the categories.")],
    layout: Annotated[
        str | None, typer.Option(help="mvtec_ad, btad, visa, folder or table")
    ] = None,
) -> None:
    """Show what the loader sees in a folder; exit 1 on what would spoil a study.

    Images are read as the section prepare of params.yaml says, where there is one.
    """
    from clflow.data.check import check_folder, render
    from clflow.data.preparation import PrepareSettings
    from clflow.settings import PARAMS, parse, read_params

    params = read_params() if PARAMS.is_file() else {}
    # the params.yaml of another project says nothing of images
    own = params.get("prepare") if "study" in params else None
    settings = parse(PrepareSettings, own or {}, "prepare")
    report = check_folder(folder, layout, settings)
    render(report, Console())
    if not report.ok:
        raise typer.Exit(1)
