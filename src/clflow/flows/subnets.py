"""Sub-nets of the coupling blocks."""

import torch
from torch import Tensor, nn

from clflow.flows.settings import CouplingSettings


class ChannelMixing(nn.Conv2d):
    """A 1x1 convolution as a product of matrices, which a CPU does faster."""

    def forward(self, input: Tensor) -> Tensor:
        """Return maps [N, outputs, H, W] of maps [N, inputs, H, W]."""
        assert self.bias is not None
        count = len(input)
        bias = self.bias[:, None].expand(count, -1, 1)
        matrix = self.weight.flatten(1).expand(count, -1, -1)
        return torch.baddbmm(bias, matrix, input.flatten(2)).unflatten(2, input.shape[2:])


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
    first = _convolution(channels_in, hidden, kernel)
    last = _convolution(hidden, channels_out, kernel)
    _draw(first, generator)
    if settings.identity_start:
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
    else:
        _draw(last, generator)
    return nn.Sequential(first, nn.ReLU(inplace=True), last)


def _convolution(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    if kernel == 1:
        return ChannelMixing(channels_in, channels_out, 1)
    return nn.Conv2d(channels_in, channels_out, kernel, padding="same")


def _draw(layer: nn.Conv2d, generator: torch.Generator) -> None:
    bound = layer.weight[0].numel() ** -0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)  # type: ignore[arg-type]
