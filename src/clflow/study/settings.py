"""What a study is: a data set, categories, methods and seeds."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class StudySettings(BaseModel):
    """The study section of `params.yaml`.

    `root` is the folder that holds the categories; `index` is the file that, with a category's folder,
    decides its manifest: the record of the download, or a split table.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    dataset: Name
    layout: str
    root: str = Field(min_length=1)
    index: str = Field(min_length=1)
    categories: tuple[Name, ...] = Field(min_length=1)
    methods: tuple[Name, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(min_length=1)
