"""Settings of the stage `download`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from clflow.data.demo.render import DemoSettings


class DownloadSettings(BaseModel):
    """Where the images come from.

    `archive` is a local copy of the data set's archive, used in place of a download and verified
    all the same; `textures` are fetched for the generators that use them; `demo` is what is
    rendered for the demo data set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    archive: str | None = None
    textures: Literal["none", "dtd"] = "none"
    demo_seed: int = Field(default=0, ge=0)
    demo: DemoSettings = DemoSettings()
