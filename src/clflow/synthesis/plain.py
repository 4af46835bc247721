"""What generators share whose settings are the stage's, the same for every category."""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

from clflow.synthesis.categories import Decision
from clflow.synthesis.fields import LabelSettings
from clflow.synthesis.registry import SourceKind
from clflow.synthesis.settings import SynthesizeSettings

Settings = TypeVar("Settings", bound=LabelSettings)


class PlainGenerator(Generic[Settings]):
    """Settings of type `model` from `section` of the synthesize settings, patches of `kind`."""

    model: type[Settings]
    section: ClassVar[str]
    kind: ClassVar[SourceKind]

    def resolve(self, decision: Decision, settings: SynthesizeSettings) -> Settings:
        """Return the settings of the stage."""
        return cast(Settings, getattr(settings, self.section))

    def load(self, values: Mapping[str, Any]) -> Settings:
        """Return the settings that a manifest row holds."""
        return self.model.model_validate(values)

    def source(self, settings: Settings) -> SourceKind:
        """Return which image patches come from."""
        return self.kind
