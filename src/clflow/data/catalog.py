"""The public data sets clflow knows, read from `datasets.yaml`."""

from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from ruamel.yaml import YAML

from clflow.errors import unknown_name

Text = Annotated[str, Field(min_length=1)]


class Dataset(BaseModel):
    """Where a data set comes from, how it is verified and what it holds.

    `urls` are mirrors of one archive, newest first; `size` is in bytes, None if unknown;
    `top_folder` is the folder of the archive that holds the categories, empty for its root.
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
    layout: Literal["mvtec_ad", "btad", "visa"]
    top_folder: str
    categories: Annotated[tuple[Text, ...], Field(min_length=1)]


@cache
def _catalog() -> dict[str, Dataset]:
    text = files("clflow.data").joinpath("datasets.yaml").read_text(encoding="utf-8")
    entries = YAML(typ="safe", pure=True).load(text)
    return {name: Dataset(name=name, **entry) for name, entry in entries.items()}


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
