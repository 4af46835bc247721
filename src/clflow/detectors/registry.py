"""Methods by name; a method's code is imported only when it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from clflow.detectors.merge import merged
from clflow.detectors.protocol import Detector
from clflow.errors import unknown_name

METHODS = {
    "clflow": "clflow.detectors.clflow",
    "clflow_paper": "clflow.detectors.clflow_paper",
    "fastflow": "clflow.detectors.fastflow",
}


@dataclass(frozen=True)
class Method:
    """A named detector: its settings model, its defaults, and where its class is."""

    name: str
    settings_model: type[BaseModel]
    defaults: Mapping[str, Any]
    detector: str

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` over the method's defaults, section by section."""
        return merged(self.defaults, values)

    def shortened(self, settings: Mapping[str, Any], step_fraction: float) -> dict[str, Any]:
        """Return complete settings with that fraction of the training steps, at least one."""
        steps = max(1, round(step_fraction * settings["training"]["steps"]))
        return merged(settings, {"training": {"steps": steps}})

    def detector_class(self) -> type[Detector]:
        """Import and return the detector class."""
        module, name = self.detector.split(":")
        return getattr(import_module(module), name)


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises:
        SettingsError: the name is unknown; the nearest known one is suggested.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    module = import_module(METHODS[name])
    return Method(name, module.Settings, module.DEFAULTS, module.DETECTOR)
