"""The download stage: put a study's images where the next stages find them."""

import shutil
from pathlib import Path

from clflow.data.catalog import Dataset, dataset_names, load_dataset
from clflow.data.download import fetch_archive
from clflow.data.download_settings import DownloadSettings
from clflow.data.extract import extract_archive
from clflow.demo.render import render_demo
from clflow.errors import DataError, SettingsError
from clflow.files import write_json
from clflow.paths import ARCHIVES, raw_folder
from clflow.progress import say
from clflow.study.settings import StudySettings

DEMO = "demo"
RECORD = "source.json"
IMAGES = "images"


def acquire(study: StudySettings, settings: DownloadSettings, workers: int = 1) -> None:
    """Download and unpack the study's data set, render the demo, or check the user's own folder.

    The record `source.json` names what the images were made from. It is removed before they change
    and written last, so a killed run leaves nothing that looks finished.

    Raises:
        DataError: the user's folder does not exist.
        SettingsError: the data set is not in the catalog and no folder is given.
        DownloadError: no archive can be had, or it does not verify.
    """
    folder = raw_folder(study.dataset)
    if Path(study.root) != folder / IMAGES:
        record = _use_folder(Path(study.root))
    elif study.dataset == DEMO:
        record = _render(folder, settings, workers)
    else:
        record = _fetch(folder, _catalogued(study.dataset), settings)
    write_json(folder / RECORD, record)


def _use_folder(root: Path) -> dict[str, object]:
    if not root.is_dir():
        message = (
            f"study.root {str(root)!r} is no folder; give the folder that holds the categories "
            "with `clflow study use NAME --root DIR`"
        )
        raise DataError(message)
    say(f"images are read from {root}, nothing is downloaded")
    return {"origin": "folder"}


def _render(folder: Path, settings: DownloadSettings, workers: int) -> dict[str, object]:
    (folder / RECORD).unlink(missing_ok=True)
    shutil.rmtree(folder / IMAGES, ignore_errors=True)
    render_demo(folder / IMAGES, settings.demo_seed, settings.demo, workers)
    rendered = settings.demo.model_dump(mode="json")
    return {"origin": "rendered", "seed": settings.demo_seed} | rendered


def _catalogued(name: str) -> Dataset:
    if name not in dataset_names():
        message = (
            f"data set {name!r} cannot be downloaded: known are {', '.join(dataset_names())}; "
            "for own images use `clflow study use folder --root DIR`"
        )
        raise SettingsError(message)
    return load_dataset(name)


def _fetch(folder: Path, dataset: Dataset, settings: DownloadSettings) -> dict[str, object]:
    local = Path(settings.archive) if settings.archive else None
    archive = fetch_archive(dataset, ARCHIVES, local=local)
    (folder / RECORD).unlink(missing_ok=True)
    extract_archive(archive, folder / IMAGES, top_folder=dataset.top_folder)
    return {"origin": "archive", "sha256": dataset.sha256, "licence": dataset.licence}
