"""What a study is: a data set, categories, methods and seeds."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from clflow.errors import unknown_name
from clflow.study.paths import images_folder

Item = TypeVar("Item")


def distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the items.

    Raises:
        ValueError: one is given more than once.
    """
    repeated = [item for item in dict.fromkeys(items) if items.count(item) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is given more than once")
    return items


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Names = Annotated[tuple[Name, ...], AfterValidator(distinct)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Source = Literal["download", "folder"]


class StudySettings(BaseModel):
    """The study section of `params.yaml`.

    `categories` are the folders of the categories by name. They are below data/raw where `source`
    is download: the stage of that name puts them there; else they are the user's own. `index` is
    the file that, with a category's folder, decides its manifest: the record of the download, or a
    split table. `step_fraction` shortens the training of every method; results to report are made
    with 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    dataset: Name
    source: Source = "download"
    layout: str
    index: str = Field(min_length=1)
    categories: dict[Name, Annotated[str, Field(min_length=1)]] = Field(min_length=1)
    methods: Names = Field(min_length=1)
    seeds: Annotated[tuple[Seed, ...], AfterValidator(distinct)] = Field(min_length=1)
    step_fraction: float = Field(default=1.0, gt=0, le=1)

    @field_validator("categories", mode="before")
    @classmethod
    def _mapped(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return value
        raise ValueError("give each category its folder, such as {bottle: path/to/bottle}")

    @field_validator("categories")
    @classmethod
    def _named(cls, folders: dict[str, str]) -> dict[str, str]:
        for name, folder in folders.items():
            if PurePath(folder).name != name:
                raise ValueError(
                    f"{name} lies in {folder!r}: a category has the name of its folder"
                )
        return folders

    @model_validator(mode="after")
    def _placed(self) -> "StudySettings":
        downloads = images_folder(self.dataset)
        for name, folder in self.categories.items():
            inside = Path(folder) == downloads / name
            if inside != (self.source == "download"):
                where = f"in {downloads}" if self.source == "download" else "outside of data/raw"
                raise ValueError(
                    f"source is {self.source}: category {name} must lie {where}, not in "
                    f"{folder!r}; `clflow study use` writes both"
                )
        return self

    @property
    def category_names(self) -> tuple[str, ...]:
        """The names of the categories, in order."""
        return tuple(self.categories)

    def root_of(self, category: str) -> Path:
        """Return the folder that the paths in a category's manifest start from.

        Raises:
            SettingsError: the study has no such category; the nearest one is suggested.
        """
        if category not in self.categories:
            raise unknown_name("category", category, self.categories)
        return Path(self.categories[category]).parent
