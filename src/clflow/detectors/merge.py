"""Settings over defaults, section by section."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any


def merged(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` over `defaults`: mappings merge key by key, anything else is replaced."""
    result = deepcopy(dict(defaults))
    for key, value in values.items():
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if nested else value
    return result
