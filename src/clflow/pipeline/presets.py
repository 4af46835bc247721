"""Ready-made studies: a data set of the catalog, the demo, or the user's own folder."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clflow.data.catalog import dataset_names, load_dataset
from clflow.data.demo.render import DemoSettings
from clflow.data.layouts import VISA_TABLE, find_categories
from clflow.detectors.registry import METHODS, find_method
from clflow.errors import SettingsError, unknown_name
from clflow.settings import list_problems, problems_of
from clflow.study.paths import RAW, images_folder, raw_folder
from clflow.study.settings import Source, StudySettings

METHOD_ORDER = ("fastflow", "clflow_paper", "clflow")
DEFAULT_SEEDS = (0, 1)
DEMO = "demo"
FOLDER, TABLE, VISA = "folder", "table", "visa"
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

    roots: tuple[Path, ...] = ()
    categories: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Images:
    """The folders that each category was found in, which a download has none of yet."""

    dataset: str
    layout: str
    folders: Mapping[str, tuple[Path, ...]]
    source: Source = "folder"


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets."""
    return (DEMO, *dataset_names(), FOLDER, TABLE, CHEST, *ABLATIONS)


def build_study(preset: str, choice: Choice) -> StudySettings:
    """Return the study of a preset.

    Raises:
        SettingsError: an unknown preset, method or category, a method that is not installed, a seed
            that is negative or repeated; no root for the user's own images, or one for the demo; a
            category in several roots.
        DataError: a root is no folder or holds no category.
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
    if choice.roots:
        raise SettingsError("the demo is rendered, it takes no --root; for own images use `folder`")
    return _study(_downloaded(DEMO, "mvtec_ad", DemoSettings().categories), choice, DEMO_USUAL)


def _catalogued(name: str, choice: Choice, usual: Usual = USUAL) -> StudySettings:
    dataset = load_dataset(name)
    if not choice.roots:
        return _study(_downloaded(name, dataset.layout, dataset.categories), choice, usual)
    found = _found(choice.roots, dataset.layout)
    return _study(_Images(name, dataset.layout, found), choice, usual)


def _own_images(layout: str, choice: Choice) -> StudySettings:
    roots = _needed_roots(layout, choice)
    found = _found(roots, layout)
    names = dict.fromkeys(root.resolve().name for root in roots)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", "_".join(names)).strip("_.-") or layout
    if name in (*dataset_names(), DEMO, CHEST_DATASET):
        name = f"own_{name}"
    return _study(_Images(name, layout, found), choice)


def _chest(choice: Choice) -> StudySettings:
    """NSA's chest X-rays; its settings go with the names of data set and lists."""
    found = _found(_needed_roots(CHEST, choice), TABLE)
    for name in choice.categories or found:
        if name not in CHEST_LISTS:
            raise unknown_name(f"list of {CHEST}", name, CHEST_LISTS)
    return _study(_Images(CHEST_DATASET, TABLE, found), choice, CHEST_USUAL)


def _needed_roots(preset: str, choice: Choice) -> tuple[Path, ...]:
    if not choice.roots:
        raise SettingsError(
            f"preset {preset!r} needs --root DIR, the folder that holds the categories"
        )
    return choice.roots


def _downloaded(dataset: str, layout: str, categories: Sequence[str]) -> _Images:
    folder = images_folder(dataset)
    return _Images(dataset, layout, {name: (folder / name,) for name in categories}, "download")


def _found(roots: Sequence[Path], layout: str) -> dict[str, tuple[Path, ...]]:
    """Return the folders of each category that the roots hold."""
    if layout == VISA and len(roots) > 1:
        raise SettingsError(
            f"--root is given {len(roots)} times: the layout {VISA!r} has its table in the root, "
            "so it takes one"
        )
    folders: dict[str, tuple[Path, ...]] = {}
    for root in dict.fromkeys(Path(os.path.normpath(root)) for root in roots):
        names = find_categories(root, layout)
        holder = _holder(root, names)
        if holder.resolve().is_relative_to(RAW.resolve()):
            raise SettingsError(
                f"--root {root} lies in {RAW}, where downloads are put and replaced: leave --root "
                "out to use a downloaded data set, or move your images elsewhere"
            )
        for name in names:
            folders[name] = (*folders.get(name, ()), Path(os.path.normpath(holder / name)))
    return folders


def _holder(root: Path, available: Sequence[str]) -> Path:
    """Return the folder that holds the categories: above the given one where that is a category."""
    resolved = root.resolve()
    is_category = resolved.name in available and not (resolved / resolved.name).is_dir()
    return _parent(root) if is_category else root


def _parent(category: Path) -> Path:
    """Return the folder that holds a category, as it was given where no link is in the way."""
    resolved = category.resolve()
    given = Path(os.path.normpath(category / ".."))
    return given if (given / resolved.name).resolve() == resolved else resolved.parent


def _study(images: _Images, choice: Choice, usual: Usual = USUAL) -> StudySettings:
    categories = _chosen(images.folders, choice.categories)
    record = raw_folder(images.dataset) / "source.json"
    folder = Path(next(iter(categories.values()))).parent
    values = {
        "name": images.dataset,
        "dataset": images.dataset,
        "source": images.source,
        "layout": images.layout,
        "index": (folder / VISA_TABLE if images.layout == VISA else record).as_posix(),
        "categories": categories,
        "methods": choice.methods or usual.methods,
        "seeds": choice.seeds or usual.seeds,
        "step_fraction": usual.step_fraction,
    }
    if problems := problems_of(StudySettings, values, "study"):
        raise SettingsError(list_problems(problems, "the chosen study"))
    return StudySettings.model_validate(values)


def _chosen(folders: Mapping[str, tuple[Path, ...]], names: Sequence[str]) -> dict[str, str]:
    """Return the one folder of each chosen category, of all categories without a choice."""
    chosen: dict[str, str] = {}
    for name in names or folders:
        if name not in folders:
            raise unknown_name("category", name, folders)
        if name in chosen:
            raise SettingsError(f"--category {name!r} is given more than once")
        if len(folders[name]) > 1:
            raise SettingsError(
                f"category {name!r} is in several roots: {', '.join(map(str, folders[name]))}; "
                "rename one folder, or name the categories that you want with --category"
            )
        chosen[name] = folders[name][0].as_posix()
    return chosen
