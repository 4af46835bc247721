"""The command `clflow`: its groups of commands, and how an error ends it."""

import sys
from typing import Annotated

import typer

from clflow.cli import data, study, synth, track
from clflow.cli.export import export
from clflow.cli.table import table
from clflow.errors import ClflowError
from clflow.progress import show
from clflow.version import package_version

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Anomaly detection results to believe."
)
for name, group in (("study", study), ("data", data), ("synth", synth), ("track", track)):
    app.add_typer(group.app, name=name)
app.command("table")(table)
app.command("export")(export)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clflow {package_version()}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def main() -> None:
    """Run the command; a user's error ends it with one line and exit code 1."""
    try:
        with show():
            app()
    except ClflowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
