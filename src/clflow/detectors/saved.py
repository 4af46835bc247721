"""Saved detectors: a folder of `model.json`, which names method and version, and tensors."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from clflow.detectors.registry import METHODS, Method, find_method
from clflow.errors import DataError
from clflow.files import write_json
from clflow.version import UNKNOWN, package_version

if TYPE_CHECKING:
    import torch

    from clflow.detectors.protocol import Detector

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
# what the stage train leaves in place of a model
FAILURE = "failed.json"

# how a file that is damaged, missing or of another version's content shows itself
_UNREADABLE = (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError)
_REASON = 200
_NEEDED = ("method", "version", "settings", "seed")


def write_description(folder: Path, method: str, content: Mapping[str, Any]) -> None:
    """Write model.json: the content, with the method and the version of clflow."""
    write_json(folder / DESCRIPTION, {**content, "method": method, "version": package_version()})


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of model.json.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged, or another version wrote it.
    """
    content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{DESCRIPTION} holds no mapping")
    if missing := [key for key in _NEEDED if key not in content]:
        raise ValueError(f"{DESCRIPTION} does not say its {' and '.join(missing)}")
    if content["method"] not in METHODS:
        raise ValueError(f"there is no method {content['method']!r}")
    here = package_version()
    written, own = _numbers(str(content["version"])), _numbers(here)
    if own and written > own:
        raise ValueError(
            f"clflow {content['version']} wrote it, this is {here}: install that version"
        )
    return content


def load_detector(
    folder: Path, device: "str | torch.device | None" = None, weights: Path | None = None
) -> "Detector":
    """Return a saved detector, whatever its method; see `restore`.

    Args:
        folder: what it was saved in.
        device: what computes; None for CUDA where there is one, else the CPU.
        weights: those of the backbone, in place of what the settings name.

    Raises:
        DataError: the folder holds no model, a training that failed, or one that cannot be read.
        SettingsError: the method's packages are not installed, or the backbone's weights are not
            those it was trained with.
    """
    _check_folder(folder)
    try:
        method = find_method(read_description(folder)["method"])
    except _UNREADABLE as error:
        raise _unreadable(folder, error) from error
    return restore(method, folder, device=device, weights=weights)


def restore(method: Method, folder: Path, **options: Any) -> "Detector":
    """Return the saved detector of a method.

    Raises:
        DataError: the model is damaged, or code of another version wrote it.
        SettingsError: see `load_detector`.
    """
    detector = method.detector_class()
    try:
        return detector.load(folder, **options)
    except _UNREADABLE as error:
        raise _unreadable(folder, error) from error


def failure_of(folder: Path) -> str | None:
    """Return why the training that should have left a model here failed, None if it did not.

    Raises:
        DataError: the file that says so is damaged.
    """
    path = folder / FAILURE
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["failure"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} does not say why the training failed ({error!r}); remove its folder and train "
            "again"
        ) from error


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}: give the folder that a detector was saved in")
    if (reason := failure_of(folder)) is not None:
        raise DataError(f"{folder} holds no model: its training failed ({reason})")
    if not (folder / DESCRIPTION).is_file():
        inside = sorted(path.parent.name for path in folder.glob(f"*/{DESCRIPTION}"))
        hint = (
            f"did you mean its folder {inside[0]!r}?" if inside else "save a detector there first"
        )
        raise DataError(f"{folder} holds no model, there is no {DESCRIPTION}: {hint}")


def _unreadable(folder: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:_REASON]
    return DataError(
        f"the model in {folder} cannot be read ({reason}): it is damaged, or another version of "
        "clflow wrote it; remove the folder and train again: in a study, run `dvc repro`"
    )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, `0.1.0+local` as (0, 1, 0); none if unknown."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found and text != UNKNOWN else ()
