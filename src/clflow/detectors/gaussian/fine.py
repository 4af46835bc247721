"""Fine alignment: features of all images of a batch made alike, location by location."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from clflow.alignment.learned import Transformer, draw_weights
from clflow.alignment.settings import TransformerSettings
from clflow.alignment.warp import chain, identity, inverse, sample, warp
from clflow.detectors.gaussian.settings import FineAlignmentSettings
from clflow.errors import TrainingError
from clflow.features.backbone import Backbone
from clflow.training.checkpoint import History
from clflow.training.loop import Course, Terms, batch_rows, run_loop, stream


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


def alignment_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return -cos(p_a, z_b) at each location, mean over all ordered pairs a != b and locations.

    The sum over b of the unit targets is made once: the cost is linear in the batch.

    Args:
        predictions: p [N, C, H, W], at least two images.
        targets: z [N, C, H, W].
    """
    unit_p, unit_z = normalize(predictions, dim=1), normalize(targets, dim=1)
    others = (unit_z.sum(0, keepdim=True) - unit_z) / (len(targets) - 1)
    return -(unit_p * others).sum(1).mean()


def spread(maps: Tensor) -> Tensor:
    """Return the standard deviation of each channel [C] of maps [N, C, H, W] at unit length.

    Times the root of C it is near one where directions differ, zero where all are the same.
    """
    unit = normalize(maps.detach(), dim=1)
    return unit.transpose(0, 1).flatten(1).std(1) * unit.shape[1] ** 0.5


def pointwise(widths: list[int], generator: torch.Generator) -> nn.Sequential:
    """Return 1x1 convolutions of these widths, normalised and rectified but for the last."""
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(pairwise(widths)):
        layers.append(nn.Conv2d(before, after, 1))
        if index < len(widths) - 2:
            layers += [nn.BatchNorm2d(after), nn.ReLU()]
    module = nn.Sequential(*layers)
    draw_weights(module, generator)
    return module


class FineAlignment(nn.Module):
    """Encoder and predictor over the deepest level (widths and order of RegAD, ECCV 2022)."""

    def __init__(self, network: AlignedNetwork, settings: FineAlignmentSettings, seed: int) -> None:
        super().__init__()
        self.settings = settings
        self.seed = seed
        self.network = network
        width = network.channels[-1]
        self.encoder = pointwise([width] * 4, stream(seed, 2))
        self.predictor = pointwise([width] * 3, stream(seed, 3))
        self.first_spread: Tensor
        self.register_buffer("first_spread", torch.zeros(()))

    def loss(self, images: Tensor) -> tuple[Tensor, Terms]:
        """Return the loss of uint8 images [N, 3, H, W] and how far features spread.

        Raises:
            TrainingError: the features of all images and places have become one.
        """
        deepest = self.network(images)[0][-1]
        targets = self.encoder(deepest)
        predictions = self.predictor(targets)
        targets = targets.detach() if self.settings.stop_gradient else targets
        loss = alignment_loss(predictions, targets)
        alive = _median(deepest)
        self._watch(alive)
        terms = {"loss": loss.item(), "feature_std": alive, "embedding_std": _median(targets)}
        return loss, terms

    def _watch(self, value: float) -> None:
        if self.first_spread == 0:
            self.first_spread.fill_(value)
        limit = self.settings.floor * self.first_spread.item()
        if value < limit:
            raise TrainingError(
                f"fine alignment collapsed: the features' standard deviation is {value:.3g}, below "
                f"{limit:.3g} ({self.settings.floor:g} of its first value): lower "
                "fine_alignment.learning_rate or backbone_rate"
            )

    def fit(self, pixels: Tensor, device: torch.device, checkpoint: Path | None) -> History:
        """Train on good images, uint8 [N, 3, S, S]; return the history.

        Raises:
            TrainingError: the run diverged or collapsed.
        """
        settings = self.settings

        def objective(step: int) -> tuple[Tensor, Terms]:
            rows = batch_rows(len(pixels), settings.batch_size, self.seed, step)
            return self.loss(pixels[rows].to(device))

        course = Course(
            steps=settings.steps,
            label="fine alignment",
            log_every=settings.log_every,
            checkpoint_every=settings.checkpoint_every,
            checkpoint=checkpoint,
        )
        return run_loop(self, self._optimizer(), objective, course)

    def _optimizer(self) -> torch.optim.Optimizer:
        settings = self.settings
        frozen = {id(parameter) for parameter in self.network.stages.parameters()}
        rate = settings.backbone_rate * settings.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": [p for p in self.parameters() if id(p) not in frozen]}
        ]
        if rate > 0:
            groups.append({"params": self.network.release(), "lr": rate})
        return torch.optim.AdamW(
            groups, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )


def _median(maps: Tensor) -> float:
    return spread(maps).median().item()
