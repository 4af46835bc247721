"""Split-conformal decisions: from the scores of held-out good images to a promised rate.

A new good image and n held-out ones are exchangeable when they come from the same line by chance.
The rank of the new score among them is then uniform, and the share of good images that score so
high is known without knowing their distribution (Vovk, Gammerman and Shafer, Algorithmic Learning
in a Random World, 2005, section 2.2).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clflow.errors import DataError, SettingsError
from clflow.metrics.inputs import image_scores

# how far above a good score a threshold lies, in parts of the spread of these scores: the same
# image scored by another engine differs by less, and is decided alike
_GUARD = 1e-3
# what a product of a rate and a count may miss a whole number by
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Promise:
    """A threshold, and the false-alarm rate that it stands for.

    Attributes:
        threshold: an image is anomalous if its score is higher.
        rate: at most this share of good images is, on average over held-out images.
        asked: the rate that was asked for; `rate` is higher where the held-out images are too few.
        images: how many held-out good images it rests on.
    """

    threshold: float
    rate: float
    asked: float
    images: int

    @property
    def kept(self) -> bool:
        """Whether the threshold promises what was asked for."""
        return self.rate <= self.asked + _ROUNDING


def false_alarm_rates(scores: ArrayLike, good: ArrayLike) -> NDArray[np.float64]:
    """Return the share of good images [N] that score at least as high as each score [N].

    (1 + number of held-out good scores [n] that are not lower) / (n + 1): the p-value of a
    conformal test. It is never below 1 / (n + 1).

    Raises:
        DataError: no good score, or a score that is not finite.

    >>> false_alarm_rates([0.5, 2.5, 9.0], good=[1.0, 2.0, 3.0]).tolist()
    [1.0, 0.5, 0.25]
    """
    ranked = _ranked(good)
    values = np.asarray(image_scores(scores))
    lower = np.searchsorted(ranked, values, side="left")
    return np.asarray((1 + len(ranked) - lower) / (len(ranked) + 1))


def promise(good: ArrayLike, rate: float) -> Promise:
    """Return the lowest threshold whose false-alarm rate is promised to be at most `rate`.

    It lies just above one of the held-out good scores [n]: where they are too few for the rate,
    above the highest, which promises 1 / (n + 1). What scores higher has a false-alarm rate of at
    most the promised one.

    Raises:
        DataError: no good score, or one that is not finite.
        SettingsError: the rate is not between 0 and 1.

    >>> promise([1.0, 2.0, 3.0, 4.0], rate=0.4)
    Promise(threshold=3.003, rate=0.4, asked=0.4, images=4)
    >>> promise([1.0, 2.0, 3.0, 4.0], rate=0.05)
    Promise(threshold=4.003, rate=0.2, asked=0.05, images=4)
    """
    check_rate(rate)
    ranked = _ranked(good)
    count = len(ranked)
    # how many good scores may be as high as one that is called anomalous
    allowed = max(1, math.floor(rate * (count + 1) + _ROUNDING))
    highest_passed = ranked[count - min(allowed, count)]
    threshold = highest_passed + _GUARD * (ranked[-1] - ranked[0])
    return Promise(float(threshold), allowed / (count + 1), rate, count)


def images_needed(rate: float) -> int:
    """Return how many held-out good images can promise a false-alarm rate.

    >>> images_needed(0.05), images_needed(0.01)
    (19, 99)
    """
    check_rate(rate)
    return math.ceil(1 / rate - _ROUNDING) - 1


def chance_of(alarms: int, tested: int, promised: Promise) -> float:
    """Return how often `alarms` or more of `tested` good images exceed a threshold that is kept to.

    The threshold is drawn with the held-out images, so the rate it has is not its promised mean:
    with k of n + 1 promised it follows Beta(k, n + 1 - k), and counts are beta-binomial (Vovk,
    Conditional validity of inductive conformal predictors, ACML 2012). Small is evidence against
    exchangeability: the test images are not from the line that the held-out ones are from.

    Raises:
        DataError: not 0 to `tested` alarms.

    >>> round(chance_of(3, 20, promise([1.0, 2.0, 3.0, 4.0], rate=0.2)), 3)
    0.567
    """
    if not 0 <= alarms <= tested:
        raise DataError(f"{alarms} of {tested} good images: count 0 to all of them")
    # scipy is needed to judge a promise, not to decide by it
    from scipy.stats import betabinom

    higher = round(promised.rate * (promised.images + 1))
    return float(betabinom.sf(alarms - 1, tested, higher, promised.images + 1 - higher))


def check_rate(rate: float) -> None:
    """Refuse what is no false-alarm rate.

    Raises:
        SettingsError: see above.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1:
        raise SettingsError(
            f"false-alarm rate {rate!r}: it must be a number between 0 and 1, such as 0.05"
        )


def _ranked(good: ArrayLike) -> NDArray[np.float64]:
    values = np.sort(image_scores(good))
    if not len(values):
        raise DataError("no held-out good image to set a threshold from; hold out at least one")
    return values
