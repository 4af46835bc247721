"""`clflow synth`: look at the synthetic anomalies that a model is trained on."""

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clflow.errors import DataError, SettingsError
from clflow.study.paths import StudyPaths

app = typer.Typer(no_args_is_help=True, help="Look at banks of synthetic anomalies.")

Category = Annotated[str, typer.Option(help="A category of the study in params.yaml.")]


@app.command("preview")
def synth_preview(
    category: Category,
    count: Annotated[int, typer.Option(min=1, help="How many anomalies to show.")] = 12,
    split: Annotated[str, typer.Option(help="train or validation")] = "train",
    real: Annotated[bool, typer.Option("--real", help="Add real defects of test images.")] = False,
    out: Annotated[Path | None, typer.Option(help="The picture, a PNG file.")] = None,
) -> None:
    """Draw a contact sheet of a bank: good image, anomaly, mask, label, boxes."""
    from clflow.canvas import below
    from clflow.data.images import write_png
    from clflow.pipeline.place import find_place
    from clflow.synthesis.preview.real import draw_real
    from clflow.synthesis.preview.sheet import draw_sheet

    place = find_place(category)
    path = out or StudyPaths(place.study).preview(category, split)
    if path.suffix.lower() != ".png":
        raise SettingsError(f"--out is {path}: the picture is written as PNG, name it so")
    parts = [draw_sheet(place.rows(split), place.root, place.title(split), count)]
    if real:
        parts.append(draw_real(place.manifest(), place.root))
    write_png(path, below(parts))
    typer.echo(path)


@app.command("rebuild")
def synth_rebuild(
    row: Annotated[str, typer.Argument(metavar="SPLIT/INDEX", help="Such as train/12.")],
    category: Category,
    out: Annotated[
        Path | None, typer.Option(help="Folder for image.png, mask.png and label.npy.")
    ] = None,
) -> None:
    """Make an anomaly again from its good image and seed; exit 1 if the bank's files differ."""
    from clflow.pipeline.place import find_place, find_row
    from clflow.synthesis.bank import rebuild
    from clflow.synthesis.drawing import differences, save

    place = find_place(category)
    saved = find_row(place, row)
    again = rebuild(saved, place.root)
    if out is not None:
        save(again, out)
        typer.echo(f"wrote {out}")
    if found := differences(saved, again):
        raise DataError(
            f"{category} {row} made again is not what the bank holds: {'; '.join(found)}. A file "
            "was changed, or the library versions are not those of bank.json: restore them, or "
            f"make the bank anew with `dvc repro --force synthesize@{category}`"
        )
    typer.echo(f"{category} {row}: made again, image, mask and boxes are those of the bank")


@app.command("stats")
def synth_stats(
    category: Category,
    real: Annotated[bool, typer.Option("--real", help="Add real defects of test images.")] = False,
) -> None:
    """Print area, regions, contrast and position of the training anomalies of a category."""
    import pandas as pd

    from clflow.pipeline.place import find_place
    from clflow.synthesis.preview.real import real_statistics
    from clflow.synthesis.preview.statistics import bank_statistics, print_statistics

    place = find_place(category)
    rows = place.rows("train")
    tables = [bank_statistics(rows, place.root)]
    if real:
        side = round(math.sqrt(rows[0].height * rows[0].width))
        tables.append(real_statistics(place.manifest(), place.root, side))
    print_statistics(Console(), place.title("train"), pd.concat(tables, ignore_index=True))
