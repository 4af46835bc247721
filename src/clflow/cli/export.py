"""`clflow export`: a saved detector as graphs that run without PyTorch."""

from pathlib import Path
from typing import Annotated

import typer

from clflow.errors import SettingsError


def export(
    package: Annotated[Path, typer.Argument(metavar="PKG", help="A saved detector.")],
    out: Annotated[Path, typer.Option(help="Folder to write the export to.")],
    format: Annotated[str, typer.Option(help="onnx or openvino")] = "onnx",
    images: Annotated[
        list[Path] | None,
        typer.Option(help="Images, or folders of them, that are scored both ways and compared."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Scores of at least this are defects: none may differ.")
    ] = None,
) -> None:
    """Write a saved detector as ONNX or OpenVINO graphs, for `clflow.runtime`."""
    from clflow.data.given import several
    from clflow.data.images import is_image
    from clflow.detectors.saved import load_detector
    from clflow.device import exact_repeats
    from clflow.export.writing import export_detector

    if threshold is not None and not images:
        raise SettingsError(
            f"--threshold is {threshold:g}, but there are no decisions to compare: give --images"
        )
    files = [
        path
        for given in images or ()
        for path in (sorted(filter(is_image, given.rglob("*"))) if given.is_dir() else [given])
    ]
    source = several(files)
    with exact_repeats():
        detector = load_detector(package, "cpu")
        # an unknown format is refused with those that are allowed
        parity = export_detector(
            detector,
            out,
            format,  # type: ignore[arg-type]
            images=[source[index] for index in range(len(source))],
            threshold=threshold,
        )
    typer.echo(out)
    if parity is not None:
        typer.echo(
            f"{parity.images} images, scores spread over {parity.spread:.4g}: they differ by at "
            f"most {parity.score_difference:.2g}, maps by {parity.map_rms:.2g} (root mean square; "
            f"at most {parity.map_difference:.2g}), decisions flipped: {parity.flipped}"
        )
