"""Run a tiny study twice in a fresh clone: the second run must skip every stage.

What it leaves is then laid into this checkout, as after a study of the reader's own: the test suite
must pass all the same.
"""

import shutil
import tempfile
from pathlib import Path

from clone import REPOSITORY, clone_repository

LEFT = ("tables", "results/runs", "scores", "models", "dvc.lock")


def main() -> None:
    """Exit with an error if a stage fails or runs twice."""
    with tempfile.TemporaryDirectory() as folder:
        clone = clone_repository(Path(folder))
        first, second = clone.dvc("repro"), clone.dvc("repro")
        table = (clone.root / "tables" / "summary.md").read_text(encoding="utf-8")
        for name in LEFT:
            _lay(clone.root / name, REPOSITORY / name)
    print(table)
    if not first.stages or second.stages or second.unchanged != first.stages:
        raise SystemExit(f"ran {first.stages}, then {second.stages} again: expected none")
    print(f"tiny study: {len(first.stages)} stages ran once, the second run skipped all of them")


def _lay(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


if __name__ == "__main__":
    main()
