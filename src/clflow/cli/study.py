"""`clflow study`: choose, check, show and keep studies."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clflow.settings import PARAMS
from clflow.study.paths import STUDIES, TABLES

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
        list[Path] | None,
        typer.Option(
            help="Folder that holds the categories; nothing is downloaded. Repeat for several."
        ),
    ] = None,
    category: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="Repeat for several.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Repeat for several.")] = None,
) -> None:
    """Write a preset into the study section of params.yaml; then run `dvc repro`."""
    from clflow.pipeline.presets import Choice, build_study
    from clflow.pipeline.rewrite import rewrite_study

    choice = Choice(
        tuple(root or ()), tuple(category or ()), tuple(method or ()), tuple(seed or ())
    )
    study = build_study(name, choice)
    rewrite_study(PARAMS, study)
    roots = dict.fromkeys(str(study.root_of(name)) for name in study.categories)
    typer.echo(
        f"study {study.name}: {len(study.categories)} categories, "
        f"methods {', '.join(study.methods)}, seeds {', '.join(map(str, study.seeds))}; "
        f"images from {', '.join(roots)}\nnow run: dvc repro"
    )


@app.command("check")
def study_check() -> None:
    """Check all of params.yaml and the files that it names, and list everything that is wrong."""
    from clflow.pipeline.given_files import check_files
    from clflow.pipeline.params import load_params

    check_files(load_params())
    typer.echo("params.yaml is valid")


@app.command("show")
def study_show(
    settings: Annotated[
        bool, typer.Option("--settings", help="Print the complete settings instead, as YAML.")
    ] = False,
    method: Annotated[
        str | None, typer.Argument(help="With --settings: those of one method.", show_default=False)
    ] = None,
) -> None:
    """Print the results table, and where tables and pictures are; or all settings."""
    from clflow.pipeline.params import load_params

    params = load_params()
    if settings:
        from clflow.pipeline.listing import list_settings

        typer.echo(list_settings(params, method), nl=False)
        return
    if method is not None:
        raise typer.BadParameter(f"a method ({method!r}) goes with --settings")
    from clflow.report.terminal import print_results

    print_results(Console(), params.study, TABLES, params.tabulate)


@app.command("save")
def study_save(
    name: Annotated[str, typer.Argument(help="Name of the folder under results/studies.")],
    replace: Annotated[bool, typer.Option(help="Replace a saved study of this name.")] = False,
    note: Annotated[str | None, typer.Option(help="What to remember, such as the command.")] = None,
) -> None:
    """Keep the finished study's numbers and tables, no pixels, under results/studies/NAME."""
    from clflow.pipeline.saved import save_study

    folder = save_study(name, STUDIES, command_note=note, replace=replace)
    typer.echo(f"saved {folder}")
