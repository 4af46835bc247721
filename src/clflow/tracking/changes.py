"""What logging did to the runs of a store."""

from dataclasses import dataclass

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Changes:
    """Ids of the runs that were made, that got new results, and that were already complete."""

    created: frozenset[str] = _NONE
    updated: frozenset[str] = _NONE
    unchanged: frozenset[str] = _NONE

    def __or__(self, later: "Changes") -> "Changes":
        """Return both together; a run made and then filled counts as made only."""
        created = self.created | later.created
        updated = (self.updated | later.updated) - created
        unchanged = (self.unchanged | later.unchanged) - created - updated
        return Changes(created, updated, unchanged)
