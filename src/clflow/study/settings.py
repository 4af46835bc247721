"""What a study is: a data set, categories, methods and seeds."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Item = TypeVar("Item")


def _distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    repeated = [item for item in dict.fromkeys(items) if items.count(item) > 1]
    if repeated:
        raise ValueError(f"{repeated[0]!r} is given more than once")
    return items


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class StudySettings(BaseModel):
    """The study section of `params.yaml`.

    `root` is the folder that holds the categories; `index` is the file that, with a category's
    folder, decides its manifest: the record of the download, or a split table. `step_fraction`
    shortens the training of every method; results to report are made with 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    dataset: Name
    layout: str
    root: str = Field(min_length=1)
    index: str = Field(min_length=1)
    categories: Annotated[tuple[Name, ...], AfterValidator(_distinct)] = Field(min_length=1)
    methods: Annotated[tuple[Name, ...], AfterValidator(_distinct)] = Field(min_length=1)
    seeds: Annotated[tuple[Seed, ...], AfterValidator(_distinct)] = Field(min_length=1)
    step_fraction: float = Field(default=1.0, gt=0, le=1)
