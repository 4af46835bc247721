"""One test between methods, as a row of the table of tests."""

from dataclasses import dataclass

import numpy as np

DELONG, JACKKNIFE = "delong", "jackknife"
WILCOXON, FRIEDMAN, NEMENYI = "wilcoxon", "friedman", "nemenyi"
# tests of one category, on its images
BY_CATEGORY = (DELONG, JACKKNIFE)


@dataclass(frozen=True)
class Comparison:
    """One test; `difference` is the first method's value minus the second's, `n` what was counted.

    An empty category is the test over categories, empty methods are all of them. `p_adjusted` is
    Holm's, or Nemenyi's own; NaN, with a note, where a test is not defined. `better` is the method
    that a significant test says is better, which need not be the one with the better mean.
    """

    dataset: str
    category: str
    metric: str
    test: str
    first: str = ""
    second: str = ""
    difference: float = np.nan
    statistic: float = np.nan
    p: float = np.nan
    p_adjusted: float = np.nan
    significant: bool = False
    better: str = ""
    n: int = 0
    note: str = ""
