"""Run a tiny study twice in a fresh clone: the second run must skip every stage."""

import tempfile
from pathlib import Path

from clone import clone_repository


def main() -> None:
    """Exit with an error if a stage fails or runs twice."""
    with tempfile.TemporaryDirectory() as folder:
        clone = clone_repository(Path(folder))
        first, second = clone.dvc("repro"), clone.dvc("repro")
        table = (clone.root / "tables" / "summary.md").read_text(encoding="utf-8")
    print(table)
    if not first.stages or second.stages or second.unchanged != first.stages:
        raise SystemExit(f"ran {first.stages}, then {second.stages} again: expected none")
    print(f"tiny study: {len(first.stages)} stages ran once, the second run skipped all of them")


if __name__ == "__main__":
    main()
