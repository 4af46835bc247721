"""The version of this package."""

from importlib import metadata

# what runs from a source tree that was never installed
UNKNOWN = "0+unknown"


def package_version() -> str:
    """Return the version that is installed."""
    try:
        return metadata.version("clflow")
    except metadata.PackageNotFoundError:
        return UNKNOWN
