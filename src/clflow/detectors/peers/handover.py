"""Giving a peer our backbone: where it asks timm for pretrained weights, it gets ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from clflow.backbones.network import Backbone
from clflow.errors import SettingsError
from clflow.torchvision_shim import ensure_torchvision

ensure_torchvision()

import timm  # noqa: E402  (needs torchvision)


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
