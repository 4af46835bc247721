"""What the network is given of an image: its colours or their mean, standardised or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clflow.detectors.nsa.settings import InputSettings


@dataclass(frozen=True)
class Inputs:
    """The number of channels, 1 or 3, and whether they are standardised as ImageNet's are."""

    channels: int = 3
    standardised: bool = True

    @property
    def text(self) -> str:
        """Return `1 channel, not standardised`."""
        channels = "1 channel" if self.channels == 1 else f"{self.channels} channels"
        return f"{channels}, {'' if self.standardised else 'not '}standardised"


def choose_inputs(row: Mapping[str, Any], settings: InputSettings) -> Inputs:
    """Return what is set; where that is `auto` what the class table's row says, else the usual."""
    usual = Inputs()
    channels, standardise = settings.channels, settings.standardise
    return Inputs(
        row.get("channels", usual.channels) if channels == "auto" else channels,
        row.get("standardise", usual.standardised) if standardise == "auto" else standardise,
    )
