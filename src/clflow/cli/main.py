"""The command `clflow`: its groups of commands, and how an error ends it."""

import sys

import typer

from clflow.cli import data, study, synth, track
from clflow.cli.table import table
from clflow.errors import ClflowError

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Anomaly detection results to believe."
)
for name, group in (("study", study), ("data", data), ("synth", synth), ("track", track)):
    app.add_typer(group.app, name=name)
app.command("table")(table)


def main() -> None:
    """Run the command; a user's error ends it with one line and exit code 1."""
    try:
        app()
    except ClflowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
