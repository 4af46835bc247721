"""`clflow track`: the MLflow store."""

from pathlib import Path

import typer

app = typer.Typer(no_args_is_help=True, help="The MLflow store.")


@app.command("sync")
def track_sync() -> None:
    """Rebuild missing MLflow runs from the files; runs that are there stay as they are."""
    from clflow.tracking.sync import sync

    report = sync(Path.cwd())
    typer.echo(
        f"{report.created} runs created, {report.updated} updated, {report.unchanged} unchanged"
    )
