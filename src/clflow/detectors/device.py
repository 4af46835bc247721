"""Which device computes."""

import os

import torch

from clflow.errors import SettingsError


def pick_device() -> torch.device:
    """Return CUDA where there is one, else the CPU; the variable CLFLOW_DEVICE overrides.

    Raises:
        SettingsError: the variable names no usable device.
    """
    name = os.environ.get("CLFLOW_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        message = f"CLFLOW_DEVICE={name!r} is no usable device: use 'cpu' or 'cuda', or unset it"
        raise SettingsError(message) from error
