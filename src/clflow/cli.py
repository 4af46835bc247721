"""The command `clflow`: choose a study, check data, keep results, rebuild the tracking store."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clflow.errors import ClflowError
from clflow.paths import PARAMS, STUDIES, TABLES, results_folder

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Anomaly detection results to believe."
)
study_app = typer.Typer(no_args_is_help=True, help="Choose, check, show and keep studies.")
data_app = typer.Typer(no_args_is_help=True, help="Look at image folders.")
track_app = typer.Typer(no_args_is_help=True, help="The MLflow store.")
app.add_typer(study_app, name="study")
app.add_typer(data_app, name="data")
app.add_typer(track_app, name="track")


def main() -> None:
    """Run the command; a user's error ends it with one line and exit code 1."""
    try:
        app()
    except ClflowError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


@study_app.command("use")
def study_use(
    name: Annotated[str, typer.Argument(help="demo, mvtec_ad, btad, visa or folder")],
    root: Annotated[
        Path | None, typer.Option(help="Folder that holds the categories; nothing is downloaded.")
    ] = None,
    category: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several.")] = None,
) -> None:
    """Write a preset into the study section of params.yaml; then run `dvc repro`."""
    from clflow.study.presets import Choice, build_study
    from clflow.study.rewrite import rewrite_study

    choice = Choice(root, tuple(category or ()), tuple(method or ()), tuple(seed or ()))
    study = build_study(name, choice)
    rewrite_study(PARAMS, study)
    typer.echo(
        f"study {study.name}: {len(study.categories)} categories, "
        f"methods {', '.join(study.methods)}, seeds {', '.join(map(str, study.seeds))}; "
        f"images from {study.root}\nnow run: dvc repro"
    )


@study_app.command("check")
def study_check() -> None:
    """Check all of params.yaml and list everything that is wrong."""
    from clflow.params import read_params
    from clflow.schema import check_params

    check_params(read_params())
    typer.echo("params.yaml is valid")


@study_app.command("show")
def study_show() -> None:
    """Print the results table, and where tables and pictures are."""
    from clflow.params import parse, read_params, section
    from clflow.study.settings import StudySettings
    from clflow.tables.settings import TabulateSettings
    from clflow.tables.show import print_results

    params = read_params()
    study = parse(StudySettings, section(params, "study"), "study")
    settings = parse(TabulateSettings, section(params, "tabulate"), "tabulate")
    print_results(Console(), study, TABLES, settings)


@study_app.command("save")
def study_save(
    name: Annotated[str, typer.Argument(help="Name of the folder under results/studies.")],
    replace: Annotated[bool, typer.Option(help="Replace a saved study of this name.")] = False,
    note: Annotated[str | None, typer.Option(help="What to remember, such as the command.")] = None,
) -> None:
    """Keep the finished study's numbers and tables, no pixels, under results/studies/NAME."""
    from clflow.params import parse, read_params, section
    from clflow.study.settings import StudySettings
    from clflow.tables.saved import save_study

    study = parse(StudySettings, section(read_params(), "study"), "study")
    folder = save_study(
        name, TABLES, results_folder(study.name), PARAMS, STUDIES, note, replace=replace
    )
    typer.echo(f"saved {folder}")


@data_app.command("check")
def data_check(
    folder: Annotated[Path, typer.Argument(help="Folder that holds the categories.")],
    layout: Annotated[str | None, typer.Option(help="mvtec_ad, btad, visa or folder")] = None,
) -> None:
    """Show what the loader sees in a folder; exit 1 on what would spoil a study."""
    from clflow.data.check import check_folder, render

    report = check_folder(folder, layout)
    render(report, Console())
    if not report.ok:
        raise typer.Exit(1)


@track_app.command("sync")
def track_sync() -> None:
    """Rebuild missing MLflow runs from the files; runs that are there stay as they are."""
    from clflow.tracking.sync import sync

    report = sync(Path.cwd())
    typer.echo(
        f"{report.created} runs created, {report.updated} updated, {report.unchanged} unchanged"
    )
