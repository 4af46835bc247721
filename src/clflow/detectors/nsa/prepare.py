"""From the training data of a category to the samples the network is trained on."""

import numpy as np
from numpy.typing import NDArray

from clflow.detectors.nsa.pixels import load_pixels
from clflow.detectors.nsa.plan import Plan, make_plan
from clflow.detectors.nsa.samples import BankSamples, FlySamples, Samples, anomalies_of
from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.detectors.nsa.views import Views, training_views
from clflow.detectors.protocol import TrainingData
from clflow.errors import DataError


def prepare(data: TrainingData, settings: NSADetectorSettings, seed: int) -> tuple[Plan, Samples]:
    """Read the good images once, decide on the category, and return what it is trained on.

    Raises:
        DataError: there are no good images, or no anomalies or other images where the source of
            anomalies needs them.
    """
    if not len(data.good):
        raise DataError("there are no good images to train on: run the prepare stage again")
    pixels = load_pixels(data.good, settings.image_size, "good images")
    plan = make_plan(data.category, pixels, settings)
    views = training_views(plan.kind, plan.rotation, settings)
    if settings.anomalies.source == "bank":
        return plan, _of_bank(data, pixels, views, plan, seed)
    if plan.member.source == "other" and len(pixels) < 2:
        raise DataError("an anomaly needs another good image to take a patch from: add images")
    if views.loaded != settings.image_size:
        pixels = load_pixels(data.good, views.loaded, "good images, enlarged")
    return plan, FlySamples(pixels, views, plan.member, seed)


def _of_bank(
    data: TrainingData, pixels: NDArray[np.uint8], views: Views, plan: Plan, seed: int
) -> BankSamples:
    negatives = data.negatives
    if negatives is None or not len(negatives.images):
        raise DataError(
            "anomalies.source is bank and there is none: run the synthesize stage, or set it to fly"
        )
    of_good = anomalies_of(negatives.owners, len(pixels))
    return BankSamples(pixels, negatives, of_good, views, plan.member, seed)
