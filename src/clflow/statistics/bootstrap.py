"""Stratified bootstrap of image AUROC over test images.

Good and anomalous images are resampled apart, so that every resample has as many of each as the
test set: the AUROC needs both, and their shares are a choice of the data set. Defect types are not
strata. Many have a handful of images, and resampling k images within a stratum shrinks its variance
by (k - 1) / k, to nothing for a type seen once; DeLong's test has no such strata either.

All models and methods are measured on the same resamples, and the statistic is the mean AUROC over
a method's models: the interval is about other test images, not about other seeds.

The interval is the percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap,
1993, ch. 13): it stays within [0, 1], follows any increasing transform of the statistic and needs
no variance estimate, which the studentized interval lacks where a method separates the classes. It
is slightly narrow for small test sets, and has no width where no resample has an error.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clflow.statistics.delong import Values, score_table

_BLOCK = 1 << 22


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each image is drawn: `anomalous` [B, m] and `good` [B, n] in B resamples."""

    anomalous: Values
    good: Values


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


def draw_resamples(labels: ArrayLike, count: int, rng: np.random.Generator) -> Resamples:
    """Draw `count` resamples with replacement of the images with `labels` [N], 0 good, 1 anomalous.

    Images count in the order of the labels, within their class.
    """
    anomalous = np.asarray(labels).astype(bool)
    return Resamples(
        _draw(int(anomalous.sum()), count, rng), _draw(int((~anomalous).sum()), count, rng)
    )


def resampled_auroc(labels: ArrayLike, scores: ArrayLike, resamples: Resamples) -> Values:
    """Return the AUROC on each resample, mean over models, [B].

    `labels` [N] are those the resamples were drawn for; `scores` are of one model [N] or several
    [models, N].

    Raises:
        DataError: a score is not finite, a label is not 0 or 1, shapes differ, a class is missing.
    """
    values, anomalous = score_table(labels, scores)
    good, bad = values[:, ~anomalous], values[:, anomalous]
    total = np.zeros(len(resamples.good))
    # The matrix of all pairs of images can be larger than memory; a block of its rows is not.
    rows = max(1, _BLOCK // good.shape[1])
    for start in range(0, bad.shape[1], rows):
        part = slice(start, start + rows)
        kernel = _kernel(bad[:, part], good)
        total += np.einsum("bn,bn->b", resamples.anomalous[:, part] @ kernel, resamples.good)
    # So far all numbers are multiples of a half: exact, in whatever order a machine sums them.
    return total / (len(values) * bad.shape[1] * good.shape[1])


def percentile_interval(values: Values, confidence: float) -> Interval:
    """Return the interval of resampled `values` [B] that leaves out equal shares at both ends."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _draw(images: int, count: int, rng: np.random.Generator) -> Values:
    if not images:
        return np.empty((count, 0))
    shares = np.full(images, 1 / images)
    return rng.multinomial(images, shares, size=count).astype(np.float64)


def _kernel(bad: Values, good: Values) -> NDArray[np.float64]:
    """Return for each pair how many models score the anomalous image higher, a tie half."""
    kernel = np.zeros((bad.shape[1], good.shape[1]))
    for own, other in zip(bad, good, strict=True):
        kernel += (own[:, None] > other) + 0.5 * (own[:, None] == other)
    return kernel
