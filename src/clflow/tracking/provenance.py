"""The state of the repository at the moment a run is logged, as tags."""

import subprocess
from pathlib import Path

from clflow.files import sha256_of


def repository_tags(root: Path) -> dict[str, str]:
    """Return commit, whether tracked files differ from it, digest of dvc.lock: those that exist."""
    tags = {}
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        tags["clflow.logged.git_commit"] = commit
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        tags["clflow.logged.git_dirty"] = "true" if changed else "false"
    lock = root / "dvc.lock"
    if lock.is_file():
        tags["clflow.logged.dvc_lock"] = sha256_of(lock)
    return tags


def _git(root: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *command],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
