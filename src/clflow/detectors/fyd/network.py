"""The backbone's stages, trainable, with a spatial transformer after each of them."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from clflow.backbones.network import Backbone
from clflow.detectors.alignment.sampling import sample
from clflow.detectors.alignment.settings import TransformerSettings
from clflow.detectors.alignment.transformer import Transformer
from clflow.detectors.alignment.warp import chain, identity, inverse, warp


def stages_of(backbone: Backbone) -> list[nn.Sequential]:
    """Return copies of the network's parts between its levels: run in turn, they give its maps."""
    ends = set(backbone.network.feature_info.module_name())  # type: ignore[operator, union-attr]
    stages: list[nn.Sequential] = []
    layers: list[nn.Module] = []
    for name, module in _layers(backbone.network):
        layers.append(deepcopy(module))
        if name in ends:
            stages.append(nn.Sequential(*layers))
            layers = []
    return stages


def _layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the network's layers in the order they run; EfficientNet keeps some in `blocks`."""
    found = []
    for name, module in network.named_children():
        if name == "blocks":
            found += [(f"{name}.{inner}", block) for inner, block in module.named_children()]
        else:
            found.append((name, module))
    return found


class AlignedNetwork(nn.Module):
    """Stages of a backbone; after each, its map is warped by a transformer of its own (FYD's FCA).

    Normalisation layers stay in evaluation mode: their statistics are not learned anew.
    """

    def __init__(
        self,
        backbone: Backbone,
        image_size: int,
        transformer: TransformerSettings | None,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages_of(backbone))
        self.mean, self.std = backbone.mean.cpu(), backbone.std.cpu()
        blank = backbone.mean.new_zeros(1, 3, image_size, image_size)
        shapes = _map_shapes(self.stages, blank)
        self.channels = [channels for channels, _ in shapes]
        self.transformers = nn.ModuleList()
        if transformer is not None:
            self.transformers.extend(
                Transformer(channels, size, transformer, generator) for channels, size in shapes
            )

    def train(self, mode: bool = True) -> "AlignedNetwork":
        """Keep the stages in evaluation mode."""
        super().train(mode)
        self.stages.train(False)
        return self

    def release(self) -> list[nn.Parameter]:
        """Let the stages learn, but for the stem, and return what learns."""
        *stem_layers, _ = self.stages[0].children()
        stem = {id(p) for layer in stem_layers for p in layer.parameters()}
        released = [p for p in self.stages.parameters() if id(p) not in stem]
        for parameter in released:
            parameter.requires_grad_(True)
        return released

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return each level's aligned map [N, C, H, W] and its theta [N, 2, 3], from the image on.

        Args:
            images: uint8 [N, 3, H, W].
        """
        maps = (images - self.mean.to(images.device)) / self.std.to(images.device)
        theta = identity(len(images)).to(images.device)
        levels, thetas = [], []
        for index, stage in enumerate(self.stages):
            maps = stage(maps)
            if self.transformers:
                found = self.transformers[index](maps)
                maps = sample(maps, found, maps.shape[-1])
                theta = chain(theta, found)
            levels.append(maps)
            thetas.append(theta)
        return levels, thetas

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """Return each level's map [N, C, H, W] in the frame of the images: warped back."""
        levels, thetas = self(images)
        if not self.transformers:
            return levels
        return [
            warp(level, inverse(theta), level.shape[-1])
            for level, theta in zip(levels, thetas, strict=True)
        ]


@torch.no_grad()
def _map_shapes(stages: Sequence[nn.Module] | nn.ModuleList, maps: Tensor) -> list[tuple[int, int]]:
    """Return channels and side of each level's map of an image."""
    shapes = []
    for stage in stages:
        maps = stage(maps)
        shapes.append((maps.shape[1], maps.shape[2]))
    return shapes
