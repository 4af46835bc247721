"""Which of many items a picture shows: a fixed choice, even over groups and within each."""

from collections import defaultdict
from collections.abc import Mapping, Sequence


def even_choice(groups: Sequence[str], count: int) -> list[int]:
    """Return the indices of at most `count` items, given the group of each.

    Every group gets as many as the others while it has them, from all over its length; they are
    ordered by group, then index.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    quotas = _quotas({name: len(found) for name, found in members.items()}, count)
    return [index for name in sorted(members) for index in _spread(members[name], quotas[name])]


def _quotas(sizes: Mapping[str, int], count: int) -> dict[str, int]:
    """Return how many of each group: small groups first, what they lack goes to the larger ones."""
    quotas, left = {}, min(count, sum(sizes.values()))
    ascending = sorted(sizes.items(), key=lambda item: (item[1], item[0]))
    for place, (name, size) in enumerate(ascending):
        quotas[name] = min(size, left // (len(sizes) - place))
        left -= quotas[name]
    return quotas


def _spread(items: Sequence[int], count: int) -> list[int]:
    """Return the middle item of each of `count` equal parts."""
    return [items[(2 * part + 1) * len(items) // (2 * count)] for part in range(count)]
