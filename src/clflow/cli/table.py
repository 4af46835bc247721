"""`clflow table`: the tables that the README quotes."""

from pathlib import Path
from typing import Annotated

import typer


def table(
    check: Annotated[
        bool, typer.Option("--check", help="Name the tables that differ from their files; exit 1.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Bring them up to date with their files.")
    ] = False,
    file: Annotated[Path, typer.Option(help="The text that quotes tables.")] = Path("README.md"),
) -> None:
    """Compare or refresh the tables that README.md quotes from results."""
    from clflow.report.quoted import check_quotes, write_quotes

    if check == write:
        raise typer.BadParameter("give either --check or --write")
    if check:
        typer.echo(f"{file}: {check_quotes(file)} blocks, all as in their files")
    else:
        typer.echo(f"{file}: {write_quotes(file)} blocks changed")
