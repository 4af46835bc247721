"""A fresh clone of the repository with a study small enough to run in a test."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]
CLONED = (".dvc", ".dvcignore", ".gitignore", "data", "dvc.yaml", "params.yaml", "src", "stages")

METHODS = ("fastflow", "clflow")
SEEDS = (0,)
SIZE = 64
TIMEOUT_SECONDS = 1500


@dataclass(frozen=True)
class Finished:
    """What a command that has ended printed, and its exit code."""

    code: int
    output: str
    errors: str

    @property
    def stages(self) -> set[str]:
        """The stages that DVC ran, or would run."""
        return set(re.findall(r"^Running stage '(.+)':$", self.output, re.MULTILINE))

    @property
    def unchanged(self) -> set[str]:
        """The stages that DVC skipped."""
        return set(re.findall(r"^Stage '(.+)' didn't change", self.output, re.MULTILINE))


@dataclass(frozen=True)
class Clone:
    """A working tree and how to run commands in it."""

    root: Path

    def run(self, *command: str) -> Finished:
        """Run a command in the root, one thread, nothing tracked and nothing of the outer clone."""
        own = {
            "CLFLOW_TRACKING": "off",
            "CLFLOW_WORKERS": "1",
            "DVC_NO_ANALYTICS": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.root / "src"),
        }
        done = subprocess.run(
            command,
            cwd=self.root,
            env=os.environ | own,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def dvc(self, *arguments: str) -> Finished:
        """Run DVC and expect it to succeed."""
        done = self.run("dvc", *arguments)
        assert done.code == 0, done.output + done.errors
        return done

    def edit_params(self, edit: Callable[[Any], object]) -> None:
        """Change `params.yaml` in place."""
        path, yaml = self.root / "params.yaml", YAML()
        values = yaml.load(path.read_text(encoding="utf-8"))
        edit(values)
        with path.open("w", encoding="utf-8") as file:
            yaml.dump(values, file)

    def untracked(self) -> set[str]:
        """Return the files that Git neither tracks nor ignores."""
        return set(_git(self.root, "ls-files", "-o", "--exclude-standard", "-z"))


def clone_repository(root: Path) -> Clone:
    """Copy what Git tracks, or would track, of the pipeline; the study becomes tiny."""
    for name in _git(REPOSITORY, "ls-files", "-co", "--exclude-standard", "-z", "--", *CLONED):
        source, target = REPOSITORY / name, root / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    _git(root, "init", "--quiet")
    _git(root, "add", "--all")
    clone = Clone(root)
    clone.edit_params(_shrink)
    return clone


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def _shrink(params: Any) -> None:
    params["study"] |= {
        "categories": ["weave"],
        "methods": list(METHODS),
        "seeds": list(SEEDS),
    }
    params["download"]["demo"] |= {"image_size": SIZE, "train": 17, "test_good": 4, "per_defect": 1}
    params["synthesize"] |= {
        "image_size": SIZE,
        "per_image": 1,
        "validation_per_image": 1,
        "attempts": 20,
        "nsa": {"height_bounds": [0.15, 0.4], "width_bounds": [0.15, 0.4]},
    }
    for method in METHODS:
        train = params["train"][method]
        train["image_size"] = SIZE
        train["training"] |= {"steps": 3, "log_every": 1, "checkpoint_every": 2}
    params["train"]["clflow"]["grid"] = 8
    params["train"]["clflow"]["normalization"]["folds"] = 2
    params["train"]["clflow"]["training"]["locations"] = 16
