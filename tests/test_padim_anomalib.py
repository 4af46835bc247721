"""Our PaDiM against anomalib's on the same features and channels; needs the extra `peers`."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from flow_cases import grain, seeded, spotted, training_data
from fyd_cases import SIZE, small

from clflow.data.images import ArrayImages
from clflow.detectors.anomalib.detector import PeerDetector
from clflow.detectors.gaussian.detector import FydDetector
from clflow.detectors.protocol import Scores
from clflow.detectors.registry import find_method
from clflow.metrics.image import image_metrics
from clflow.metrics.pixel import PixelScores

pytestmark = pytest.mark.skipif(
    find_spec("anomalib") is None, reason="the extra `peers` is not installed (`make peers`)"
)

GOOD = 12
DATA = training_data(40, with_negatives=False)
FAINT, MASK = spotted(grain(GOOD, 10))
TEST = ArrayImages(
    grain(GOOD, 9)
    # faint spots: where all metrics are 1, two methods agree in nothing
    + [
        (0.8 * plain + 0.2 * spot).astype(np.uint8)
        for plain, spot in zip(grain(GOOD, 10), FAINT, strict=True)
    ]
)


@pytest.fixture(scope="module")
def theirs() -> PeerDetector:
    method = find_method("anomalib.padim")
    values = method.complete({"image_size": SIZE, "batch_size": 8})
    settings = method.settings_model.model_validate(values)
    return method.detector_class()(settings).fit(DATA, seeded())  # type: ignore[return-value]


@pytest.fixture(scope="module")
def ours(theirs: PeerDetector) -> FydDetector:
    """Return our PaDiM, given the channels that anomalib has drawn."""
    chosen = theirs.model_.idx
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clflow.detectors.gaussian.detector.choose_channels", lambda *_: chosen)
        return small("padim").fit(DATA, seeded())


def aurocs(scores: Scores) -> list[float]:
    pixels = PixelScores()
    for index, found in enumerate(scores.anomaly_maps):
        pixels.add(found, None if index < GOOD else MASK)
    image = image_metrics([0] * GOOD + [1] * GOOD, scores.image_scores)["image_auroc"]
    return [float(value or 0) for value in (image, pixels.metrics()["pixel_auroc"])]


def test_maps_are_anomalibs(ours: FydDetector, theirs: PeerDetector) -> None:
    """Alike but for the half precision of our features and factors."""
    mine, other = ours.score(TEST), theirs.score(TEST)
    np.testing.assert_allclose(mine.anomaly_maps, other.anomaly_maps, rtol=0.02)
    assert np.corrcoef(mine.anomaly_maps.ravel(), other.anomaly_maps.ravel())[0, 1] > 0.999


def test_metrics_are_anomalibs_to_half_a_point(ours: FydDetector, theirs: PeerDetector) -> None:
    mine, other = aurocs(ours.score(TEST)), aurocs(theirs.score(TEST))
    assert min(other) > 0.5
    np.testing.assert_allclose(mine, other, atol=0.005)


def test_gaussians_are_anomalibs(ours: FydDetector, theirs: PeerDetector) -> None:
    assert ours.density_ is not None
    mean = theirs.model_.gaussian.mean
    torch.testing.assert_close(ours.density_.mean, mean, rtol=1e-2, atol=1e-2)
