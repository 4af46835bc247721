"""Ready-made studies: a data set of the catalog, the demo, or the user's own folder."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clflow.data.catalog import dataset_names, load_dataset
from clflow.data.layouts import VISA_TABLE, find_categories
from clflow.demo.render import DemoSettings
from clflow.detectors.registry import find_method
from clflow.errors import SettingsError, unknown_name
from clflow.params import list_problems, problems_of
from clflow.paths import raw_folder
from clflow.study.settings import StudySettings

METHOD_ORDER = ("fastflow", "clflow_paper", "clflow")
DEFAULT_SEEDS = (0, 1)
DEMO = "demo"
# the demo shows the whole pipeline within minutes on two cores
DEMO_METHODS = ("fastflow", "clflow")
DEMO_SEEDS = (0,)
DEMO_STEP_FRACTION = 0.2


@dataclass(frozen=True)
class Choice:
    """What the user asked for; an empty tuple means the preset's own."""

    root: Path | None = None
    categories: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets."""
    return (DEMO, *dataset_names(), "folder")


def build_study(preset: str, choice: Choice) -> StudySettings:
    """Return the study of a preset.

    Raises:
        SettingsError: an unknown preset, method or category, a method that is not installed, a seed
            that is negative or repeated; `folder` without a root, `demo` with one.
        DataError: the root is no folder or holds no category.
    """
    if preset not in preset_names():
        raise unknown_name("preset", preset, preset_names())
    for method in choice.methods:
        find_method(method).check_installed()
    if preset == "folder":
        return _own_folder(choice)
    if preset == DEMO:
        return _demo(choice)
    return _catalogued(preset, choice)


def _demo(choice: Choice) -> StudySettings:
    if choice.root is not None:
        raise SettingsError("the demo is rendered, it takes no --root; for own images use `folder`")
    return _study(DEMO, "mvtec_ad", None, DemoSettings().categories, choice)


def _catalogued(name: str, choice: Choice) -> StudySettings:
    dataset = load_dataset(name)
    if choice.root is None:
        return _study(name, dataset.layout, None, dataset.categories, choice)
    available = find_categories(choice.root, dataset.layout)
    return _study(name, dataset.layout, choice.root, available, choice)


def _own_folder(choice: Choice) -> StudySettings:
    if choice.root is None:
        raise SettingsError(
            "preset 'folder' needs --root DIR, the folder that holds the categories"
        )
    root = choice.root.resolve()
    available = find_categories(choice.root, "folder")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", root.name).strip("_.-") or "folder"
    if name in (*dataset_names(), DEMO):
        name = f"own_{name}"
    is_category = root.name in available and not (root / root.name).is_dir()
    holder = _parent(choice.root) if is_category else choice.root
    return _study(name, "folder", holder, available, choice)


def _parent(category: Path) -> Path:
    """Return the folder that holds a category, as it was given where no link is in the way."""
    resolved = category.resolve()
    given = Path(os.path.normpath(category / ".."))
    return given if (given / resolved.name).resolve() == resolved else resolved.parent


def _study(
    name: str, layout: str, root: Path | None, available: Sequence[str], choice: Choice
) -> StudySettings:
    for category in choice.categories:
        if category not in available:
            raise unknown_name("category", category, available)
    if root is not None and root.resolve().is_relative_to(raw_folder("").resolve()):
        raise SettingsError(
            f"--root {root} lies in {raw_folder('')}, where downloads are put and replaced: leave "
            "--root out to use a downloaded data set, or move your images elsewhere"
        )
    folder = Path(os.path.normpath(root)) if root is not None else raw_folder(name) / "images"
    record = raw_folder(name) / "source.json"
    index = folder / VISA_TABLE if layout == "visa" else record
    demo = name == DEMO
    values = {
        "name": name,
        "dataset": name,
        "layout": layout,
        "root": folder.as_posix(),
        "index": index.as_posix(),
        "categories": choice.categories or tuple(available),
        "methods": choice.methods or (DEMO_METHODS if demo else METHOD_ORDER),
        "seeds": choice.seeds or (DEMO_SEEDS if demo else DEFAULT_SEEDS),
        "step_fraction": DEMO_STEP_FRACTION if demo else 1.0,
    }
    if problems := problems_of(StudySettings, values, "study"):
        raise SettingsError(list_problems(problems, "the chosen study"))
    return StudySettings.model_validate(values)
