"""Settings of the synthesize stage."""

from typing import Literal

from pydantic import Field

from clflow.data.images import fitted_size
from clflow.data.records import Record
from clflow.synthesis.cutpaste import CutPasteSettings, ScarSettings
from clflow.synthesis.fpi import FPISettings, PIISettings
from clflow.synthesis.labels import Frozen, LabelKind, Positive
from clflow.synthesis.nsa import NSAOverrides
from clflow.synthesis.perlin import PerlinSettings
from clflow.synthesis.textures import TEXTURES

# CL-Flow (arXiv 2311.06794) publishes no recipe; this is our reconstruction's
CLFLOW_MIXTURE = {"nsa": 0.5, "cutpaste_scar": 0.25, "perlin": 0.25}


class SynthesizeSettings(Frozen):
    """Settings of the synthesize stage.

    image_size² is the area of the images in pixels, squares unless `aspect` keeps their shape.
    `label` replaces the kind of label of every generator, auto leaves each its own. `mixture` holds
    the weights of generators, used where `generator` is mixture. `textures` is the folder of
    texture images for perlin, which takes the category's own while the default folder is empty.
    """

    generator: str = "nsa"
    image_size: int = Field(default=256, ge=16)
    aspect: Literal["keep", "stretch"] = "stretch"
    per_image: int = Field(default=4, ge=0)
    validation_per_image: int = Field(default=4, ge=0)
    attempts: int = Field(default=5, ge=1)
    seed: int = 0
    kind: Literal["auto", "object", "texture"] = "auto"
    label: LabelKind | Literal["auto"] = "auto"
    textures: str = Field(default=str(TEXTURES), min_length=1)
    mixture: dict[str, Positive] = Field(default=CLFLOW_MIXTURE, min_length=1)
    nsa: NSAOverrides = NSAOverrides()
    fpi: FPISettings = FPISettings()
    pii: PIISettings = PIISettings()
    cutpaste: CutPasteSettings = CutPasteSettings()
    cutpaste_scar: ScarSettings = ScarSettings()
    perlin: PerlinSettings = PerlinSettings()

    def size_of(self, record: Record) -> tuple[int, int]:
        """Return height and width in pixels of the anomalies made on an image."""
        if self.aspect == "stretch":
            return self.image_size, self.image_size
        return fitted_size(record.height, record.width, self.image_size)
