"""A fresh clone of the repository with a study small enough to run in a test."""

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from clflow.pipeline.params import check_params

REPOSITORY = Path(__file__).parents[1]
CLONED = (".dvc", ".dvcignore", ".gitignore", "data", "dvc.yaml", "params.yaml", "src", "stages")

CATEGORIES = ("weave", "washer")
METHODS = ("fastflow", "clflow")
SEEDS = (0,)
TINY: dict[str, Any] = {
    "study.categories": {name: f"data/raw/demo/images/{name}" for name in CATEGORIES},
    "study.methods": list(METHODS),
    "study.seeds": list(SEEDS),
    "download.demo.image_size": 64,
    "download.demo.train": 17,
    "download.demo.test_good": 4,
    "download.demo.per_defect": 1,
    "synthesize.image_size": 64,
    "synthesize.per_image": 1,
    "synthesize.validation_per_image": 1,
    "synthesize.attempts": 20,
    # smaller patches than these often find no place in so small an image
    "synthesize.nsa": {"height_bounds": [0.15, 0.4], "width_bounds": [0.15, 0.4]},
    "train.clflow.grid": 8,
    "train.clflow.normalization.folds": 2,
    "train.clflow.training.locations": 16,
} | {
    f"train.{method}.{key}": value
    for method in METHODS
    for key, value in {
        "image_size": 64,
        "training.steps": 3,
        "training.log_every": 1,
        "training.checkpoint_every": 2,
    }.items()
}
TIMEOUT_SECONDS = 1500

Edit = Callable[[str], str]


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

    def plan(self) -> set[str]:
        """Return the stages that `dvc repro` would run if every stage changed its outputs."""
        return self.dvc("repro", "--dry", "--force-downstream", "--allow-missing").stages

    @contextmanager
    def edited(self, name: str, edit: Edit) -> Iterator[None]:
        """Change a text file for the length of a block."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        path.write_text(edit(text), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(text, encoding="utf-8")

    def modified(self) -> set[str]:
        """Return the tracked files that differ from the index."""
        return set(_git(self.root, "diff", "--name-only", "-z"))

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
    params = root / "params.yaml"
    params.write_text(settings(TINY)(params.read_text(encoding="utf-8")), encoding="utf-8")
    _git(root, "init", "--quiet")
    _git(root, "add", "--all")
    return Clone(root)


def settings(values: Mapping[str, Any]) -> Edit:
    """Return the edit of `params.yaml` that sets values by their dotted names.

    Sections that are not there are made; the file that comes out must be valid.
    """

    def edit(text: str) -> str:
        yaml, stream = YAML(), io.StringIO()
        params = yaml.load(text)
        for name, value in values.items():
            *sections, key = name.split(".")
            place = params
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = value
        yaml.dump(params, stream)
        check_params(YAML(typ="safe", pure=True).load(stream.getvalue()))
        return stream.getvalue()

    return edit


def _git(root: Path, *arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]
