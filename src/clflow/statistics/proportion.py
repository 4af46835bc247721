"""An interval for a share that was counted."""

from scipy.stats import beta

from clflow.errors import DataError, SettingsError
from clflow.statistics.bootstrap import Interval


def proportion_interval(hits: float, total: int, confidence: float = 0.95) -> Interval:
    """Return the Clopper-Pearson interval of `hits` among `total` independent images.

    It covers the true share at least as often as `confidence` says, and is never empty: 0 of 20
    is [0, 0.168]. A mean of counts that several models gave on the same images need not be whole;
    the interval is then as wide as one of a single model, since the images are the same.

    Source: Clopper and Pearson, Biometrika 26 (1934).

    Raises:
        DataError: there is no image, or not 0 to `total` hits.
        SettingsError: the confidence is not between 0 and 1.

    >>> round(proportion_interval(0, 20).high, 3)
    0.168
    """
    if total < 1 or not 0 <= hits <= total:
        raise DataError(f"{hits} of {total} images: count 0 to all of at least one image")
    if not 0 < confidence < 1:
        raise SettingsError(f"confidence {confidence} must be between 0 and 1, such as 0.95")
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, total - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, total - hits)) if hits < total else 1.0
    return Interval(low, high)
