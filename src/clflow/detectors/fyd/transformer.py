"""A spatial transformer's localisation network, bounded, starting at the identity."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from clflow.detectors.fyd.settings import TransformerSettings
from clflow.detectors.fyd.warp import similarity

_WIDTH = 32
_GROUPS = 4
_GRID = 4


class Transformer(nn.Module):
    """Predicts theta [N, 2, 3] from maps [N, C, S, S]: turn, shift and scale, each within bounds.

    The last layer starts at zero, which is the identity (RegAD, ECCV 2022). Strided convolutions
    and group normalisation stand for pooling and batch normalisation: their gradients repeat
    exactly, and a prediction does not depend on the batch.
    """

    def __init__(
        self, channels: int, size: int, settings: TransformerSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.settings = settings
        halvings = max(1, round(math.log2(size / _GRID)))
        widths = [channels] + [_WIDTH] * halvings
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            layers += [convolution, nn.GroupNorm(_GROUPS, after), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(_WIDTH * _side(size, halvings) ** 2, 5)
        draw_weights(self.features, generator)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return theta [N, 2, 3]."""
        bounds = self.settings
        raw = self.head(self.features(maps)).tanh()
        angle = raw[:, 0] * math.radians(bounds.angle)
        scale = torch.exp(raw[:, 3:5] * math.log(bounds.scale))
        if bounds.axes == "one":
            scale = scale[:, :1].expand(-1, 2)
        # half sides: the whole side is two of them
        return similarity(angle, scale, raw[:, 1:3] * 2 * bounds.shift)


def _side(size: int, halvings: int) -> int:
    for _ in range(halvings):
        size = (size + 1) // 2
    return size


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of convolutions from `generator` alone; biases are zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
