"""Ready-made studies: a data set of the catalog, the demo, or the user's own folder."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clflow.data.catalog import dataset_names, load_dataset
from clflow.data.demo.render import DemoSettings
from clflow.data.layouts import VISA_TABLE, find_categories
from clflow.detectors.registry import METHODS, find_method
from clflow.errors import SettingsError, unknown_name
from clflow.settings import list_problems, problems_of
from clflow.study.paths import raw_folder
from clflow.study.settings import StudySettings

METHOD_ORDER = ("fastflow", "clflow_paper", "clflow")
DEFAULT_SEEDS = (0, 1)
DEMO = "demo"
FOLDER, TABLE = "folder", "table"
CHEST = "chest_xray"
# what the class tables of NSA call its data set and its two lists (arXiv 2109.15222, rCXR)
CHEST_DATASET = "rcxr"
CHEST_LISTS = ("female", "male")
ABLATED = "mvtec_ad"
ABLATION_SEEDS = (0, 1, 2)
# the seeds of the authors' five runs
CHEST_SEEDS = (1982342, 923874273, 2388222932, 676346783, 123425)


def _variants(method: str) -> tuple[str, ...]:
    return tuple(name for name in METHODS if name.startswith(f"ablation.{method}_"))


@dataclass(frozen=True)
class Usual:
    """What a preset's study has where the user chose nothing."""

    methods: tuple[str, ...] = METHOD_ORDER
    seeds: tuple[int, ...] = DEFAULT_SEEDS
    step_fraction: float = 1.0


USUAL = Usual()
# the demo shows the whole pipeline within minutes on two cores
DEMO_USUAL = Usual(("fastflow", "clflow"), (0,), 0.2)
CHEST_USUAL = Usual(("nsa",), CHEST_SEEDS)
# one thing changed at a time, beside the method itself
ABLATIONS = {
    "ablation": Usual(("clflow", *_variants("clflow")), ABLATION_SEEDS),
    "ablation_fyd": Usual(("padim", "fyd", *_variants("fyd")), ABLATION_SEEDS),
}


@dataclass(frozen=True)
class Choice:
    """What the user asked for; an empty tuple means the preset's own."""

    root: Path | None = None
    categories: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets."""
    return (DEMO, *dataset_names(), FOLDER, TABLE, CHEST, *ABLATIONS)


def build_study(preset: str, choice: Choice) -> StudySettings:
    """Return the study of a preset.

    Raises:
        SettingsError: an unknown preset, method or category, a method that is not installed, a seed
            that is negative or repeated; no root for the user's own images, or one for the demo.
        DataError: the root is no folder or holds no category.
    """
    if preset not in preset_names():
        raise unknown_name("preset", preset, preset_names())
    for method in choice.methods:
        find_method(method).check_installed()
    if preset in (FOLDER, TABLE):
        return _own_images(preset, choice)
    if preset == CHEST:
        return _chest(choice)
    if preset == DEMO:
        return _demo(choice)
    if preset in ABLATIONS:
        return _catalogued(ABLATED, choice, ABLATIONS[preset]).model_copy(update={"name": preset})
    return _catalogued(preset, choice)


def _demo(choice: Choice) -> StudySettings:
    if choice.root is not None:
        raise SettingsError("the demo is rendered, it takes no --root; for own images use `folder`")
    return _study(DEMO, "mvtec_ad", None, DemoSettings().categories, choice, DEMO_USUAL)


def _catalogued(name: str, choice: Choice, usual: Usual = USUAL) -> StudySettings:
    dataset = load_dataset(name)
    if choice.root is None:
        return _study(name, dataset.layout, None, dataset.categories, choice, usual)
    available = find_categories(choice.root, dataset.layout)
    return _study(name, dataset.layout, choice.root, available, choice, usual)


def _needed_root(preset: str, choice: Choice) -> Path:
    if choice.root is None:
        raise SettingsError(
            f"preset {preset!r} needs --root DIR, the folder that holds the categories"
        )
    return choice.root


def _own_images(layout: str, choice: Choice) -> StudySettings:
    given = _needed_root(layout, choice)
    root = given.resolve()
    available = find_categories(given, layout)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", root.name).strip("_.-") or layout
    if name in (*dataset_names(), DEMO, CHEST_DATASET):
        name = f"own_{name}"
    return _study(name, layout, _holder(given, available), available, choice)


def _chest(choice: Choice) -> StudySettings:
    """NSA's chest X-rays; its settings go with the names of data set and lists."""
    root = _needed_root(CHEST, choice)
    available = find_categories(root, TABLE)
    for name in choice.categories or available:
        if name not in CHEST_LISTS:
            raise unknown_name(f"list of {CHEST}", name, CHEST_LISTS)
    holder = _holder(root, available)
    return _study(CHEST_DATASET, TABLE, holder, available, choice, CHEST_USUAL)


def _holder(given: Path, available: Sequence[str]) -> Path:
    """Return the folder that holds the categories: above the given one where that is a category."""
    root = given.resolve()
    is_category = root.name in available and not (root / root.name).is_dir()
    return _parent(given) if is_category else given


def _parent(category: Path) -> Path:
    """Return the folder that holds a category, as it was given where no link is in the way."""
    resolved = category.resolve()
    given = Path(os.path.normpath(category / ".."))
    return given if (given / resolved.name).resolve() == resolved else resolved.parent


def _study(
    name: str,
    layout: str,
    root: Path | None,
    available: Sequence[str],
    choice: Choice,
    usual: Usual = USUAL,
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
    values = {
        "name": name,
        "dataset": name,
        "layout": layout,
        "root": folder.as_posix(),
        "index": index.as_posix(),
        "categories": choice.categories or tuple(available),
        "methods": choice.methods or usual.methods,
        "seeds": choice.seeds or usual.seeds,
        "step_fraction": usual.step_fraction,
    }
    if problems := problems_of(StudySettings, values, "study"):
        raise SettingsError(list_problems(problems, "the chosen study"))
    return StudySettings.model_validate(values)
