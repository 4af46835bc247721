"""`clflow fit`, `predict`, `calibrate` and `info`: from good images to decisions on new ones."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from clflow.errors import DataError, SettingsError

if TYPE_CHECKING:
    from clflow.decision.stream import Predictor, Run, Tally

Package = Annotated[Path, typer.Argument(metavar="PKG", help="A package, as fit writes it.")]
Rate = Annotated[
    float | None, typer.Option(help="Of good images, how many may be called anomalous.")
]
Review = Annotated[float | None, typer.Option(help="Of good images, how many may be worth a look.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by itself, CUDA if there is one.")]


def fit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of good images.")],
    out: Annotated[Path, typer.Option(help="The package to write, a new folder.")],
    method: Annotated[str, typer.Option(help="clflow, padim, fastflow, nsa, ...")] = "clflow",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    false_alarm_rate: Rate = None,
    review_rate: Review = None,
    ignore: Annotated[
        Path | None, typer.Option(help="A mask: pixels that are not zero do not count.")
    ] = None,
    border: Annotated[int, typer.Option(min=0, help="Pixels from the edges to ignore.")] = 0,
    calibration: Annotated[
        Literal["split", "cross"],
        typer.Option(help="Hold images out for thresholds, or learn from all and train again."),
    ] = "split",
    backbone: Annotated[
        bool, typer.Option(help="Write the weights of the backbone into the package.")
    ] = True,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as training.steps=100."),
    ] = None,
    device: Device = None,
) -> None:
    """Learn from a folder of good images and write a package."""
    from clflow.decision.calibration import USUAL_RATE
    from clflow.inspector.detector import Detector
    from clflow.inspector.loading import check_free

    check_free(out)
    detector = Detector(method, _nested(settings or []), seed, device)
    detector.fit(
        folder,
        false_alarm_rate=USUAL_RATE if false_alarm_rate is None else false_alarm_rate,
        review_rate=review_rate,
        ignore=ignore,
        border=border,
        calibration=calibration,
    )
    detector.save(out, backbone=backbone)
    _say_thresholds(detector)
    typer.echo(f"wrote {out}: its card is {out / 'card.md'}")


def predict(
    package: Package,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Files, folders, patterns, videos; - for a list."),
    ],
    out: Annotated[
        Path, typer.Option(help="A folder, or a file that ends with .csv, .jsonl or .parquet.")
    ],
    overlays: Annotated[
        bool, typer.Option("--overlays", help="Write pictures to look at.")
    ] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Write regions as PNG.")] = False,
    maps: Annotated[
        Literal["npy", "tiff"] | None, typer.Option(help="Write maps of raw scores, float32.")
    ] = None,
    minimum_area: Annotated[int, typer.Option(min=1, help="Of a region, in pixels.")] = 1,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="An image of more is refused before it is decoded.")
    ] = 100_000_000,
    batch: Annotated[int, typer.Option(min=1, help="How many images are scored at once.")] = 16,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was cut off.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results.")] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="End at the first image that cannot be read.")
    ] = False,
    device: Device = None,
) -> None:
    """Inspect images and write a row for each: score, false-alarm rate, decision, regions."""
    from clflow.decision.inputs import How, Passed, find_items
    from clflow.decision.pictures import Pictures
    from clflow.decision.stream import Run, inspect, results_file

    rows = results_file(out)
    if rows.exists() and not (resume or overwrite):
        raise SettingsError(
            f"{rows.path} exists: go on with --resume, replace it with --overwrite, or name another"
        )
    pictures = Pictures(rows.path.parent, overlays, masks, maps, minimum_area)
    predictor = _predictor(package, device)
    pictures.check(predictor.calibration_)
    run = Run(predictor, pictures, batch, fail_fast, minimum_area)
    passed = Passed()
    how = How(predictor.reading_, max_pixels)
    items = find_items(inputs, sys.stdin, passed, how)
    try:
        tally = inspect(run, items, rows, resume=resume)
    except KeyboardInterrupt:
        typer.echo(f"stopped: {rows.partial} is whole so far, go on with --resume", err=True)
        raise typer.Exit(130) from None
    _report(tally, run, rows.path, passed.count, passed.first)


def _report(tally: "Tally", run: "Run", path: Path, passed: int, first: str) -> None:
    typer.echo(tally.describe())
    calibration = run.predictor.calibration_
    for remark in () if calibration is None else calibration.remarks():
        typer.echo(f"note: {remark}")
    if passed:
        typer.echo(f"note: {passed} file(s) are neither images nor videos, such as {first}")
    typer.echo(f"wrote {path}")
    if tally.errors:
        raise typer.Exit(1)


def calibrate(
    package: Package,
    folder: Annotated[Path, typer.Argument(metavar="GOOD_DIR", help="Good images of the line.")],
    out: Annotated[
        Path | None, typer.Option(help="The package to write; in place unless given.")
    ] = None,
    false_alarm_rate: Rate = None,
    review_rate: Review = None,
    region_rate: Annotated[
        float | None, typer.Option(help="Of good images, how many may show any region.")
    ] = None,
    device: Device = None,
) -> None:
    """Set thresholds anew from good images, without training, and show how scores moved."""
    from clflow.decision.calibration import shift_of
    from clflow.decision.sealing import BACKBONE
    from clflow.inspector.detector import load
    from clflow.inspector.loading import check_free

    target = out or package
    check_free(target)
    detector = load(package, device=device)
    held = (package / BACKBONE).is_file()
    detector.calibrate(
        folder,
        false_alarm_rate=false_alarm_rate,
        review_rate=review_rate,
        region_rate=region_rate,
    )
    assert detector.calibration_ is not None  # just set
    detector.save(target, backbone=held)
    found = shift_of(detector.calibration_)
    typer.echo(
        f"median score of good images {found.before:.5g} then, {found.after:.5g} now; "
        f"Kolmogorov-Smirnov distance {found.distance:.3f}, p {found.p_value:.2g}"
    )
    if found.significant:
        typer.echo(
            "note: the scores have moved more than by chance: look at camera, light and parts; "
            "the new thresholds hold for images as these"
        )
    _say_thresholds(detector)
    typer.echo(f"wrote {target}: thresholds from {folder}")


def info(package: Package) -> None:
    """Check every file of a package, and print its card."""
    from clflow.decision.card import write_card
    from clflow.decision.package import read_package

    found = read_package(package)
    typer.echo(write_card(found.contents, found.calibration))
    files = found.contents["files"]
    total = sum(entry["bytes"] for entry in files.values())
    typer.echo(f"{len(files)} files, {total / 1e6:.1f} MB, all as they were written")
    typer.echo(f"package {found.digest}")


def export(
    package: Package,
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    format: Annotated[
        Literal["onnx", "openvino"], typer.Option(help="What will compute.")
    ] = "onnx",
    good: Annotated[
        Path | None, typer.Option(help="More good images to compare the export by.")
    ] = None,
) -> None:
    """Write a package as graphs that run without PyTorch, and how they compare with it."""
    from clflow.export.package import export_package
    from clflow.export.writing import PARITY

    found = export_package(package, out, format, good)
    typer.echo(
        f"{found.images} images both ways: scores differ by up to {found.score_difference:.2g} "
        f"(their spread is {found.spread:.3g}), maps by up to {found.map_difference:.2g} "
        f"(root mean square {found.map_rms:.2g}), {found.flipped} decision(s) differ"
    )
    typer.echo(f"wrote {out}: figures are in {out / PARITY}")


def _predictor(package: Path, device: str | None) -> "Predictor":
    """Return what a folder holds: an export is run by its engine, a package by PyTorch."""
    from clflow.runtime.description import DESCRIPTION

    if (package / DESCRIPTION).is_file():
        from clflow import runtime

        return runtime.load(package)
    from clflow.inspector.detector import load

    return load(package, device=device)


def _say_thresholds(detector: Any) -> None:
    calibration = detector.calibration_
    if calibration is None:
        return
    found = calibration.image
    typer.echo(
        f"threshold {found.threshold:.6g}: promises a false-alarm rate of {found.rate:.3g}, from "
        f"{found.images} good images"
    )


def _nested(texts: list[str]) -> dict[str, Any]:
    """Return settings from texts such as training.steps=100; values are YAML."""
    from ruamel.yaml import YAML, YAMLError

    nested: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        *parents, last = key.split(".")
        if not sign or not last:
            raise SettingsError(f"--set {text}: write KEY=VALUE, such as training.steps=100")
        section = nested
        for name in parents:
            section = section.setdefault(name, {})
        try:
            section[last] = YAML(typ="safe", pure=True).load(value)
        except (YAMLError, AttributeError, TypeError) as error:
            raise DataError(f"--set {text}: the value is no YAML") from error
    return nested
