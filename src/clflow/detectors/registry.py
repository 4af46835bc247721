"""Methods by name: one file in `methods` each; its code is imported only when it is asked for."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, reduce
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from ruamel.yaml import YAML

from clflow.errors import SettingsError, unknown_name

if TYPE_CHECKING:
    from clflow.detectors.protocol import Detector


FOLDER = Path(__file__).parent / "methods"
METHODS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def merged(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` over `defaults`: mappings merge key by key, anything else is replaced."""
    result = deepcopy(dict(defaults))
    for key, value in values.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result


class MethodFile(BaseModel):
    """What the file of a method says, completed by the file that it names as its `base`.

    `settings` and `detector` say as `module:name` where its code is; `defaults` are its settings,
    complete. `length` is the dotted name of the setting that a shortened study scales, none for a
    method that does not iterate. `network` names what it trains from scratch, none where a
    setting names its backbone. `requires` are the packages of an extra. `notes` say in what a
    result differs from the published method, with settings filled in; they are not inherited.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: str
    detector: str
    length: str | None = None
    network: str | None = None
    requires: tuple[str, ...] = ()
    notes: str = ""
    defaults: dict[str, Any]


@dataclass(frozen=True)
class Method:
    """A named detector: its settings model, its defaults, and where its class is."""

    name: str
    settings_model: type[BaseModel]
    defaults: Mapping[str, Any]
    detector: str
    length: str | None = None
    network: str | None = None
    requires: tuple[str, ...] = ()
    notes: str = ""

    def complete(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` over the method's defaults, section by section."""
        return merged(self.defaults, values)

    def shortened(self, settings: Mapping[str, Any], step_fraction: float) -> dict[str, Any]:
        """Return complete settings with that fraction of the steps or epochs, at least one."""
        if self.length is None:
            return dict(settings)
        *parents, key = self.length.split(".")
        whole = reduce(lambda section, name: section[name], parents, settings)[key]
        change: dict[str, Any] = {key: max(1, round(step_fraction * whole))}
        for parent in reversed(parents):
            change = {parent: change}
        return merged(settings, change)

    def describe(self, settings: Mapping[str, Any]) -> str:
        """Return the notes with complete settings filled in; empty if there is nothing to say."""
        return self.notes.format(**settings)

    def check_installed(self) -> None:
        """Refuse a method whose packages are not installed.

        Raises:
            SettingsError: see above.
        """
        if missing := [name for name in self.requires if find_spec(name) is None]:
            raise SettingsError(
                f"method {self.name!r} needs {' and '.join(missing)}, which the extra `peers` "
                "brings: run `make peers`, or leave the method out of study.methods"
            )

    def detector_class(self) -> "type[Detector]":
        """Import and return the detector class.

        Raises:
            SettingsError: the packages it needs are not installed.
        """
        self.check_installed()
        return _load(self.detector)


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises:
        SettingsError: the name is unknown; the nearest known one is suggested.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    file = read_method_file(name)
    return Method(
        name=name,
        settings_model=_load(file.settings),
        defaults=file.defaults,
        detector=file.detector,
        length=file.length,
        network=file.network,
        requires=file.requires,
        notes=file.notes,
    )


@cache
def read_method_file(name: str) -> MethodFile:
    """Return the content of a known method's file, over that of its base."""
    content = YAML(typ="safe", pure=True).load(FOLDER / f"{name}.yaml")
    base = content.pop("base", None)
    if base is not None:
        content = merged(read_method_file(base).model_dump(exclude={"notes"}), content)
    return MethodFile.model_validate(content)


def method_sections(sections: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the sections of `train` by method; `anomalib.padim` is the key padim of anomalib."""
    families = {name.rpartition(".")[0] for name in METHODS} - {""}
    for key, values in sections.items():
        if key in families and isinstance(values, Mapping):
            yield from ((f"{key}.{name}", section) for name, section in values.items())
        else:
            yield str(key), values


def _load(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)
