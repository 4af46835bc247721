"""What the tables may mark: significant differences, and runs that failed or are degenerate."""

from typing import NamedTuple


class Claim(NamedTuple):
    """A method is significantly better than another on a category, or over all of them for ""."""

    metric: str
    category: str
    better: str
    worse: str


class Marks(NamedTuple):
    """The claims that tests support, and category and method of what has a flag."""

    claims: frozenset[Claim] = frozenset()
    flagged: frozenset[tuple[str, str]] = frozenset()


NO_MARKS = Marks()
