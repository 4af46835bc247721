"""Peers draw from global random state and set global switches: here it is lent and taken back."""

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def lent_global_state(seed: int) -> Iterator[None]:
    """Seed all global generators for the block, and leave everything as it was found.

    Logs and warnings are silenced. An operation without a deterministic form is let pass: the code
    is not ours.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    deterministic = torch.are_deterministic_algorithms_enabled()
    silenced = logging.root.manager.disable
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
        try:
            yield
        finally:
            logging.disable(silenced)
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
