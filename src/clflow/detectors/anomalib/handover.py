"""What a method of anomalib is lent: our backbone for its own, our pixels, global random state."""

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from clflow.errors import SettingsError
from clflow.features.backbone import Backbone
from clflow.features.torchvision_shim import ensure_torchvision

ensure_torchvision()

import timm  # noqa: E402  (needs torchvision)


def normalised(pixels: Tensor, backbone: Backbone) -> Tensor:
    """Return uint8 images [N, 3, H, W] on the scale the backbone was trained on."""
    return (pixels.to(backbone.mean.device) - backbone.mean) / backbone.std


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


@contextmanager
def handed_over(backbone: Backbone) -> Iterator[None]:
    """Within the block every pretrained network that timm is asked for is `backbone.network`.

    Peers name a network and let timm download its weights. Here they get the very module that our
    own detectors read features from. Networks without pretrained weights, such as a student, are
    made by timm as ever.

    Raises:
        SettingsError: the peer asks for other levels than the backbone's.
    """
    create = timm.create_model

    def give(model_name: str, pretrained: bool = False, **options: Any) -> nn.Module:
        if not pretrained:
            return create(model_name, pretrained=False, **options)
        asked = tuple(options.get("out_indices", ()))
        if asked != backbone.levels:
            raise SettingsError(
                f"the peer reads levels {list(asked)} of its backbone, not "
                f"{list(backbone.levels)}: set backbone.levels to {list(asked)}"
            )
        return backbone.network

    # some peers try their network out while they are made, and that is on the CPU
    device = backbone.mean.device
    backbone.cpu()
    # peers flatten maps in place, which needs the ordinary order in memory
    backbone.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    timm.create_model = give  # type: ignore[assignment]
    try:
        yield
    finally:
        timm.create_model = create
        backbone.to(device)


def own_tensors(model: nn.Module, backbone: Backbone) -> dict[str, torch.Tensor]:
    """Return the state of a peer's model without that of the backbone it was given."""
    given = [f"{name}." for name, module in model.named_modules() if module is backbone.network]
    state = model.state_dict()
    return {name: state[name] for name in state if not name.startswith(tuple(given))}
