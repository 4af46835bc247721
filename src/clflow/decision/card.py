"""The card of a package: what it is, from what it was made, what it promises, and its limits."""

from collections.abc import Iterator, Mapping
from typing import Any

from clflow.decision.calibration import Calibration
from clflow.metrics.conformal import Promise, images_needed

_SIZES_SHOWN = 3
_ORIGINS = {
    "split": "The thresholds come from {count} good images alone, which were not learned from. Of "
    "new good images that come from the same line as these, on average at most the promised share "
    "is above the threshold (split-conformal ranks). The promise is on average over draws of the "
    "held-out images: with few of them, the rate that one sees scatters around it.",
    "cross": "The thresholds come from the {count} good images that were learned from, each scored "
    "by a detector that did not learn from it (cross-conformal ranks). Of new good images that "
    "come from the same line, about the promised share is above the threshold: no theorem holds "
    "it to that, measurements do.",
}
# rates that a reader may want next
_ROUND_RATES = (0.05, 0.01, 0.001)


def write_card(contents: Mapping[str, Any], calibration: Calibration | None) -> str:
    """Return the card as Markdown, from what package.json says and the thresholds."""
    return "\n".join(
        [
            f"# {contents['method']} on {contents['category']}",
            "",
            *_made_from(contents),
            "",
            "## What a decision means",
            "",
            *(_no_promise() if calibration is None else _promises(calibration)),
            "",
            "## How well it separates",
            "",
            *_figures(calibration, contents["data"]["held_out"]),
            "",
            "## Limits",
            "",
            *_limits(contents),
            "",
        ]
    )


def _made_from(contents: Mapping[str, Any]) -> Iterator[str]:
    data = contents["data"]
    sizes = ", ".join(f"{w} x {h} ({n})" for w, h, n in data["sizes"][:_SIZES_SHOWN])
    more = len(data["sizes"]) - _SIZES_SHOWN
    yield (
        f"An anomaly detector: method `{contents['method']}`, seed {contents['seed']}, fitted on "
        f"{data['train']} good images, with {data['held_out']} others held out. It has seen no "
        "defect."
    )
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield f"| image sizes (count) | {sizes}{f' and {more} more' if more > 0 else ''} |"
    backbone = contents.get("backbone")
    if backbone:
        held = "in the package" if backbone["included"] else "not in the package"
        yield f"| backbone | {backbone['name']}, {held} |"
    versions = ", ".join(f"{name} {value}" for name, value in sorted(contents["versions"].items()))
    yield f"| clflow | {contents['clflow']} |"
    yield f"| versions | {versions} |"
    yield f"| digest of the training images | `{data['digest'][:16]}` |"


def _promises(calibration: Calibration) -> Iterator[str]:
    rows: list[tuple[str, Promise]] = [("image is anomalous", calibration.image)]
    if calibration.review is not None:
        rows.append(("image is worth a look", calibration.review))
    rows.append(("pixel belongs to a region", calibration.pixel))
    yield "| if the score is above | then | asked false-alarm rate | promised |"
    yield "|---|---|---|---|"
    for name, found in rows:
        yield f"| {found.threshold:.6g} | {name} | {found.asked:g} | {found.rate:.3g} |"
    count = len(calibration.scores)
    yield ""
    yield _ORIGINS[calibration.kind].format(count=count)
    if remarks := calibration.remarks():
        yield ""
        yield from (f"- {remark}" for remark in remarks)
    needed = ", ".join(f"{images_needed(rate)} for {rate:g}" for rate in _ROUND_RATES)
    yield ""
    yield f"Good images that a rate takes: {needed}. Give more to `clflow calibrate`: none trains."


def _no_promise() -> Iterator[str]:
    yield (
        "No good image was held out, so there is no threshold and no decision. "
        "`clflow calibrate` sets thresholds from good images."
    )


def _figures(calibration: Calibration | None, held_out: int) -> Iterator[str]:
    synthetic = None if calibration is None else calibration.synthetic_auroc
    if synthetic is None:
        yield "Not measured: no synthetic anomalies were made of held-out images."
        return
    yield (
        f"Image AUROC {synthetic:.4f} between the {held_out} held-out good images and synthetic "
        "anomalies made of them. Real defects may be harder: this says that training went well, "
        "not how many defects will be found."
    )


def _limits(contents: Mapping[str, Any]) -> Iterator[str]:
    yield "- Scores are raw. Across seeds, methods and packages only false-alarm rates compare."
    yield "- It knows one kind of part, from one camera, in one light. `clflow calibrate` shows"
    yield "  whether good images still score as they did; if not, train again."
    yield "- Images of another shape or size are scored, and flagged."
    if contents.get("region"):
        yield "- A part of the image is ignored, and defects there are not seen (`ignored.png`)."
