"""Errors that a user can mend.

ClflowError
├── SettingsError   params.yaml, a command-line value, an unknown name
├── DataError       an image, a mask, a folder, a manifest
├── DownloadError   an archive that cannot be fetched, verified or unpacked
├── StorageError    a file that cannot be written
├── TrainingError   a run that diverged
└── NotFittedError  a detector that is asked before it was fitted

Every message says what is wrong, the value, what is allowed and what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class ClflowError(Exception):
    """Base of the errors that end a command with one line instead of a traceback."""


class SettingsError(ClflowError):
    """A setting that is missing, unknown or outside what is allowed."""


class DataError(ClflowError):
    """Images, masks or manifests that would spoil a study."""


class DownloadError(ClflowError):
    """An archive that cannot be fetched, does not verify or must not be unpacked."""


class StorageError(ClflowError):
    """A file or folder that cannot be written whole."""


class TrainingError(ClflowError):
    """A training run that diverged."""


class NotFittedError(ClflowError, ValueError, AttributeError):
    """A detector that was asked before it was fitted; a ValueError as in scikit-learn."""


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> SettingsError:
    """Return the error for a name outside `allowed`, with the nearest allowed one suggested."""
    names = sorted(allowed)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return SettingsError(f"unknown {kind} {name!r}: {hint}allowed are {', '.join(names)}")
