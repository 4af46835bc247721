"""The public data sets and textures clflow knows, read from `datasets.yaml` and `textures.yaml`."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from clflow.errors import unknown_name

Text = Annotated[str, Field(min_length=1)]


class Archive(BaseModel):
    """Where an archive of images comes from and how it is verified.

    `urls` are mirrors of one archive, newest first; `size` is in bytes, None if unknown;
    `top_folder` is the folder of the archive that holds the images, empty for its root.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    title: Text
    urls: Annotated[tuple[Text, ...], Field(min_length=1)]
    archive: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(gt=0)] | None
    licence: Text
    citation: Text
    homepage: Text | None
    top_folder: str


class Dataset(Archive):
    """An archive of categories with good and defective images."""

    layout: Literal["mvtec_ad", "btad", "visa"]
    categories: Annotated[tuple[Text, ...], Field(min_length=1)]


def _entries(file: str) -> dict[str, dict[str, Any]]:
    text = files("clflow.data").joinpath(file).read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(text)
    return {name: {"name": name} | entry for name, entry in entries.items()}


@cache
def _catalog() -> dict[str, Dataset]:
    return {name: Dataset(**entry) for name, entry in _entries("datasets.yaml").items()}


def dataset_names() -> tuple[str, ...]:
    """Return the names of the known data sets in alphabetical order."""
    return tuple(sorted(_catalog()))


def load_dataset(name: str) -> Dataset:
    """Return a data set of the catalog.

    Raises:
        SettingsError: no data set has this name.
    """
    catalog = _catalog()
    if name not in catalog:
        raise unknown_name("data set", name, catalog)
    return catalog[name]


def load_textures(name: str) -> Archive:
    """Return an archive of texture images.

    Raises:
        SettingsError: none has this name.
    """
    entries = _entries("textures.yaml")
    if name not in entries:
        raise unknown_name("textures", name, entries)
    return Archive(**entries[name])
