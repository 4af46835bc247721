"""Names of good images, in folders and tables: one list for all layouts, case ignored."""

import re
from difflib import SequenceMatcher

from clflow.data.records import GOOD

GOOD_NAMES = frozenset({GOOD, "ok", "normal"})
# what others call good, or a part of a data set: no list of names can know whether it is a defect
_UNCLEAR = frozenset(
    (
        "okay",
        "pass",
        "passed",
        "fine",
        "nominal",
        "gut",
        "io",
        "healthy",
        "intact",
        "faultless",
        "flawless",
        "clean",
        "accept",
        "accepted",
        "defectfree",
        "nodefect",
        "nodefects",
        "nondefective",
        "anomalyfree",
        "noanomaly",
        "undamaged",
        "reference",
        "golden",
        "train",
        "training",
        "test",
        "testing",
        "val",
        "valid",
        "validation",
        "dev",
        "holdout",
    )
)
_ALIKE = 0.8


def is_good(name: str) -> bool:
    """Return whether a folder or label of this name holds good images."""
    return name.casefold() in GOOD_NAMES


def may_be_good(name: str) -> bool:
    """Return whether a name is so near to that of good images that one has to ask.

    >>> [may_be_good(name) for name in ("good_2", "goood", "okay", "defect-free", "validation")]
    [True, True, True, True, True]
    >>> [may_be_good(name) for name in ("good", "not_good", "abnormal", "nok", "scratch")]
    [False, False, False, False, False]
    """
    if is_good(name):
        return False
    words = [word for word in re.split(r"[\W_\d]+", name.casefold()) if word]
    whole = "".join(words)
    if whole in _UNCLEAR or whole in GOOD_NAMES:
        return True
    if words and words[0] in GOOD_NAMES:
        return True
    if whole.startswith(("ab", "un", "in", "no")) and not whole.startswith("norm"):
        return False
    return any(SequenceMatcher(None, whole, good).ratio() >= _ALIKE for good in (GOOD, "normal"))
