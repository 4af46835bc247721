"""Settings of the stage `prepare`: how images are read and split."""

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clflow.data.decoding import MAX_PIXELS
from clflow.data.reading import MaskRule

_MASK_NAME = re.compile(r"[^/\\,.\x00-\x1f][^/\\,\x00-\x1f]*\.png", re.IGNORECASE)


class PrepareSettings(BaseModel):
    """How the images of a category are split and read.

    `validation_fraction` of the good training images, at least `validation_minimum`, is held out;
    at least `training_minimum` must remain. `test_fraction` of the good images becomes test images
    where a folder has no test split of its own.

    `mask` is the rule by which masks are read: `auto` takes two values or colours as they are and
    cuts others at half brightness; `nonzero` is any pixel that is not black, `inverted` the dark
    ones, `alpha` the opaque ones. A mask that marks more than `mask_share` of its image is refused.

    `orientation` is what an EXIF orientation does: images and masks are turned as viewers show them
    (`apply`), taken as stored (`ignore`) or refused. `pages` takes the `first` page of files with
    several pages or frames, or refuses them. `white` is the value of 16-bit and float images that
    is shown as white; null finds it from all images of the category. An image of more than
    `max_pixels` is refused; about as many are held in memory at a time.

    `ignore` is the name of a PNG in the folder of each category, such as `ignore.png`: what is not
    black there does not count, in training, scores, regions and metrics; nor do `border` pixels
    from each edge. A category without the file is used whole.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0)
    validation_fraction: float = Field(default=0.1, ge=0, lt=1)
    validation_minimum: int = Field(default=8, ge=1)
    training_minimum: int = Field(default=8, ge=1)
    test_fraction: float = Field(default=0.2, ge=0, lt=1)
    mask: MaskRule = "auto"
    mask_share: float = Field(default=0.5, gt=0, le=1)
    orientation: Literal["apply", "ignore", "refuse"] = "apply"
    pages: Literal["refuse", "first"] = "refuse"
    white: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    ignore: str | None = None
    border: int = Field(default=0, ge=0)

    @field_validator("ignore")
    @classmethod
    def _in_folder(cls, name: str | None) -> str | None:
        if name is not None and not _MASK_NAME.fullmatch(name):
            raise ValueError(
                "give the name of a PNG in the folder of each category, such as ignore.png: no "
                "path, no comma"
            )
        return name
