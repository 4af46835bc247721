"""`clflow study`: choose, check, show and keep studies."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clflow.settings import PARAMS
from clflow.study.paths import STUDIES, TABLES, StudyPaths

app = typer.Typer(no_args_is_help=True, help="Choose, check, show and keep studies.")


@app.command("use")
def study_use(
    name: Annotated[
        str,
        typer.Argument(
            help="demo, mvtec_ad, btad, visa, folder, table, chest_xray, ablation or ablation_fyd"
        ),
    ],
    root: Annotated[
        Path | None, typer.Option(help="Folder that holds the categories; nothing is downloaded.")
    ] = None,
    category: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several.")] = None,
) -> None:
    """Write a preset into the study section of params.yaml; then run `dvc repro`."""
    from clflow.pipeline.presets import Choice, build_study
    from clflow.pipeline.rewrite import rewrite_study

    choice = Choice(root, tuple(category or ()), tuple(method or ()), tuple(seed or ()))
    study = build_study(name, choice)
    rewrite_study(PARAMS, study)
    typer.echo(
        f"study {study.name}: {len(study.categories)} categories, "
        f"methods {', '.join(study.methods)}, seeds {', '.join(map(str, study.seeds))}; "
        f"images from {study.root}\nnow run: dvc repro"
    )


@app.command("check")
def study_check() -> None:
    """Check all of params.yaml and list everything that is wrong."""
    from clflow.pipeline.params import check_params
    from clflow.settings import read_params

    check_params(read_params())
    typer.echo("params.yaml is valid")


@app.command("show")
def study_show() -> None:
    """Print the results table, and where tables and pictures are."""
    from clflow.report.settings import TabulateSettings
    from clflow.report.terminal import print_results
    from clflow.settings import parse, read_params, section
    from clflow.study.settings import StudySettings

    params = read_params()
    study = parse(StudySettings, section(params, "study"), "study")
    settings = parse(TabulateSettings, section(params, "tabulate"), "tabulate")
    print_results(Console(), study, TABLES, settings)


@app.command("save")
def study_save(
    name: Annotated[str, typer.Argument(help="Name of the folder under results/studies.")],
    replace: Annotated[bool, typer.Option(help="Replace a saved study of this name.")] = False,
    note: Annotated[str | None, typer.Option(help="What to remember, such as the command.")] = None,
) -> None:
    """Keep the finished study's numbers and tables, no pixels, under results/studies/NAME."""
    from clflow.pipeline.saved import save_study
    from clflow.settings import parse, read_params, section
    from clflow.study.settings import StudySettings

    study = parse(StudySettings, section(read_params(), "study"), "study")
    folder = save_study(
        name, TABLES, StudyPaths(study.name).results, PARAMS, STUDIES, note, replace=replace
    )
    typer.echo(f"saved {folder}")
