"""The download stage: put a study's images where the next stages find them."""

from collections.abc import Sequence
from pathlib import Path

from clflow.data.catalog import Archive, Dataset, dataset_names, load_dataset, load_textures
from clflow.data.demo.render import render_demo
from clflow.data.download import fetch_archive
from clflow.data.extract import extract_archive
from clflow.data.settings import DownloadSettings
from clflow.errors import DataError, SettingsError
from clflow.files import remove_folder, write_json
from clflow.progress import say
from clflow.study.paths import ARCHIVES, raw_folder
from clflow.synthesis.textures import TEXTURES

DEMO = "demo"
RECORD = "source.json"
IMAGES = "images"


def acquire(
    dataset: str, own: Sequence[Path], settings: DownloadSettings, workers: int = 1
) -> None:
    """Download and unpack a data set or render the demo; where `own` folders are given, check them.

    The record `source.json` names what the images were made from. It is removed before they change
    and written last, so a killed run leaves nothing that looks finished.

    Raises:
        DataError: one of the user's folders does not exist.
        SettingsError: the data set is not in the catalog and no folder is given.
        DownloadError: no archive can be had, or it does not verify.
    """
    folder = raw_folder(dataset)
    if own:
        record = _use_folders(own)
    elif dataset == DEMO:
        record = _render(folder, settings, workers)
    else:
        record = _fetch(folder, _catalogued(dataset), settings)
    write_json(folder / RECORD, record)


def acquire_textures(name: str) -> None:
    """Download and unpack an archive of texture images, or with "none" leave the folder empty.

    Raises:
        SettingsError: the textures are not in the catalog.
        DownloadError: no archive can be had, or it does not verify.
    """
    record: dict[str, object] = {"origin": "none"}
    if name == "none":
        remove_folder(TEXTURES)
    else:
        textures = load_textures(name)
        record = _unpack(fetch_archive(textures, ARCHIVES), TEXTURES, textures)
    write_json(TEXTURES / RECORD, record)


def _use_folders(folders: Sequence[Path]) -> dict[str, object]:
    for folder in folders:
        if not folder.is_dir():
            raise DataError(
                f"study.categories: {str(folder)!r} is no folder; give the folders that hold the "
                "categories with `clflow study use NAME --root DIR`"
            )
    roots = dict.fromkeys(str(folder.parent) for folder in folders)
    say(f"images are read from {', '.join(roots)}, nothing is downloaded")
    return {"origin": "folder"}


def _render(folder: Path, settings: DownloadSettings, workers: int) -> dict[str, object]:
    (folder / RECORD).unlink(missing_ok=True)
    remove_folder(folder / IMAGES)
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
    return _unpack(fetch_archive(dataset, ARCHIVES, local=local), folder, dataset)


def _unpack(archive: Path, folder: Path, source: Archive) -> dict[str, object]:
    (folder / RECORD).unlink(missing_ok=True)
    extract_archive(archive, folder / IMAGES, top_folder=source.top_folder)
    return {"origin": "archive", "sha256": source.sha256, "licence": source.licence}
