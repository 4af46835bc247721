"""Raw scores of a fitted detector: of images to inspect, and of those that thresholds rest on.

Nothing here decides anything: the stage `train` scores held-out images too, and is not to run again
when rules of decisions change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clflow.data.images import ArrayImages, ImageSource
from clflow.data.reading import AS_USUAL, Reading
from clflow.data.region_of_interest import RegionOfInterest, own_map, seen
from clflow.decision.sealing import USUAL_RATES, described, sizes_of
from clflow.files import digest_of
from clflow.progress import say, silent

if TYPE_CHECKING:
    from clflow.detectors.protocol import Detector

# as many as a backbone sees at once
AT_ONCE = 16
LIBRARIES = ("torch", "timm", "numpy", "opencv-python")

Scored = tuple[NDArray[np.uint8], float, NDArray[np.float32]]
Row = tuple[float, float, float]


def score_all(
    detector: "Detector", images: ImageSource, region: RegionOfInterest | None = None
) -> Iterator[Scored]:
    """Yield image, raw score and map [S, S] of each image, a batch in memory at a time."""
    for start in range(0, len(images), AT_ONCE):
        some = [images[place] for place in range(start, min(start + AT_ONCE, len(images)))]
        with silent():
            found = detector.score(seen(ArrayImages(some), region))
        for image, score, own in zip(some, found.image_scores, found.anomaly_maps, strict=True):
            yield image, float(score), own


def held_out_scores(
    detector: "Detector",
    images: ImageSource,
    region: RegionOfInterest | None = None,
    anomalies: ImageSource | None = None,
    rates: Mapping[str, float | None] = USUAL_RATES,
) -> dict[str, Any] | None:
    """Return the content of calibration.json.

    None where no good image is held out, or a score is not finite, which is said.

    Args:
        detector: fitted on others.
        images: good ones.
        region: what of an image counts.
        anomalies: synthetic ones made of the images, None for none.
        rates: the false-alarm rates that are asked for.
    """
    if not len(images):
        return None
    rows = rows_of(score_all(detector, images, region), region)
    made = [] if anomalies is None else [score for _, score, _ in score_all(detector, anomalies)]
    return summarized(rows, made, rates)


def rows_of(scored: Iterable[Scored], region: RegionOfInterest | None) -> list[Row]:
    """Return score, and highest and lowest pixel of the map at its own size, of each image."""
    rows = []
    for image, score, own in scored:
        whole = own_map(own, (image.shape[1], image.shape[0]), region)
        rows.append((score, float(whole.max()), float(whole.min())))
    return rows


def summarized(
    rows: Sequence[Row],
    anomalies: Sequence[float],
    rates: Mapping[str, float | None],
    kind: str = "split",
) -> dict[str, Any] | None:
    """Return the content of calibration.json, None where a score is not finite, which is said."""
    if not (np.isfinite(rows).all() and np.isfinite(anomalies).all()):
        say("scores of held-out images are NaN or infinite: no threshold, no decision")
        return None
    scores, peaks, lowest = np.array(rows).T
    return described(scores, peaks, float(np.median(lowest)), anomalies, rates, kind=kind)


def noted(
    dataset: str,
    category: str,
    train: ImageSource,
    held_out: ImageSource,
    shapes: Sequence[tuple[int, int]],
    reading: Reading = AS_USUAL,
) -> dict[str, Any]:
    """Return what a package says of where it comes from.

    `shapes` (H, W) are of the training, `reading` is how its files were read.
    """
    return {
        "category": category,
        "dataset": dataset,
        "data": {
            "train": len(train),
            "held_out": len(held_out),
            "sizes": sizes_of(shapes),
            "reading": str(replace(reading, mask="auto")),
            "digest": digest_of(list(train.digests)),
            "held_out_digest": digest_of(list(held_out.digests)),
        },
        "versions": {"python": python_version()} | {name: version(name) for name in LIBRARIES},
    }
