"""Sub-nets of the coupling blocks."""

import torch
from torch import nn

from clflow.flows.settings import CouplingSettings


def convolutional_subnet(
    channels_in: int,
    channels_out: int,
    kernel: int,
    settings: CouplingSettings,
    generator: torch.Generator,
) -> nn.Sequential:
    """Return Conv(k) - ReLU - Conv(k), "same" padding, no normalisation (FastFlow).

    Weights start as torch's default, drawn from `generator`; with `identity_start` the last layer
    starts at zero.
    """
    hidden = max(1, int(settings.hidden_ratio * channels_in))
    first = nn.Conv2d(channels_in, hidden, kernel, padding="same")
    last = nn.Conv2d(hidden, channels_out, kernel, padding="same")
    _draw(first, generator)
    if settings.identity_start:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    else:
        _draw(last, generator)
    return nn.Sequential(first, nn.ReLU(), last)


def _draw(layer: nn.Conv2d, generator: torch.Generator) -> None:
    bound = layer.weight[0].numel() ** -0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)  # type: ignore[arg-type]
