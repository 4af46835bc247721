"""Flows as a graph: a pointwise one with its affine maps folded, others block by block."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from clflow.detectors.flow.density import LevelDensity
from clflow.flows.coupling import LocalAffineCoupling
from clflow.flows.flow import Flow2d
from clflow.flows.pointwise import PointwiseFlow, Step


class EnergyGraph(nn.Module):
    """Score of each location [N, H, W]: of the latent, or of latent and log-determinant.

    Args:
        kind: that of `ScoreSettings`.
    """

    def __init__(self, density: LevelDensity, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.channels = density.flow.channels
        self.flow = flow_graph(deepcopy(density.flow).cpu().eval())

    def forward(self, features: Tensor, size: torch.Size) -> Tensor:
        """Return the score of normalised features [C, H W N] of maps of a size (H, W)."""
        latent, log_determinant = self.flow(features, size)
        z2 = latent.square().mean(0) / 2
        score = z2
        if self.kind == "exp":
            score = -torch.exp(-z2)
        elif self.kind == "log_likelihood":
            score = z2 - log_determinant / self.channels
        return score.reshape(*size, -1).permute(2, 0, 1)


def flow_graph(flow: Flow2d) -> nn.Module:
    """Return what maps features [C, H W N] of a size (H, W) to latent and log-determinants."""
    return PointwiseGraph(flow) if flow.pointwise else BlocksGraph(flow)


class PointwiseGraph(nn.Module):
    """What `PointwiseFlow` computes, of all locations of all images side by side.

    Channels are not brought back into their order: only sums over them are wanted.
    """

    def __init__(self, flow: Flow2d) -> None:
        super().__init__()
        fast = PointwiseFlow(list(flow.blocks))  # type: ignore[arg-type]
        self.log_determinant = fast.log_determinant
        self.steps = nn.ModuleList()
        # which channel lies where: a step leaves those that it read before those that it changed
        order = torch.arange(flow.channels)
        for step in fast.steps:
            self.steps.append(StepGraph(step, torch.argsort(order)))
            order = torch.cat([step.passive, step.active])
        self.gain: Tensor
        self.offset: Tensor
        self.register_buffer("gain", fast.gain[order])
        self.register_buffer("offset", fast.offset[order])

    def forward(self, features: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Return the latent [C, H W N], channels in another order, and log-determinants [H W N]."""
        total: Tensor | float = self.log_determinant
        for step in self.steps:
            features, log_scale = step(features)
            total = total + log_scale
        return features * self.gain + self.offset, torch.as_tensor(total)


class StepGraph(nn.Module):
    """One block on features that still wait for the affine maps of earlier blocks.

    Args:
        place: where each channel lies [C].
    """

    passive: Tensor
    active: Tensor
    first: Tensor
    first_bias: Tensor
    last: Tensor
    last_bias: Tensor
    log_gain: Tensor
    offset: Tensor

    def __init__(self, step: Step, place: Tensor) -> None:
        super().__init__()
        self.clamp = step.clamp
        for name, value in (
            ("passive", place[step.passive]),
            ("active", place[step.active]),
            ("first", step.first[0]),
            ("first_bias", step.first[1]),
            ("last", step.last[0]),
            ("last_bias", step.last[1]),
            ("log_gain", step.log_gain),
            ("offset", step.offset),
        ):
            self.register_buffer(name, value)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor | float]:
        """Return the features [C, M], those that were read first, and the sum of log-scales [M]."""
        passive = features.index_select(0, self.passive)
        hidden = torch.addmm(self.first_bias, self.first, passive).relu()
        scale, shift = torch.addmm(self.last_bias, self.last, hidden).chunk(2)
        gain, total = self._gain(scale)
        active = features.index_select(0, self.active) + self.offset
        return torch.cat([passive, shift + active * gain]), total

    def _gain(self, scale: Tensor) -> tuple[Tensor, Tensor | float]:
        if not self.clamp:
            return self.log_gain.exp(), 0.0
        bounded = scale.sigmoid()
        total = 2 * self.clamp * bounded.sum(0) - self.clamp * scale.shape[0]
        return (2 * self.clamp * bounded + (self.log_gain - self.clamp)).exp(), total


class BlocksGraph(nn.Module):
    """Coupling blocks in turn, of whatever kernels."""

    def __init__(self, flow: Flow2d) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(BlockGraph(block) for block in flow.blocks)  # type: ignore[arg-type]

    def forward(self, features: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
        """Return the latent [C, H W N] and the log-determinants [H W N]."""
        latent: Tensor = features.reshape(len(features), *size, -1).permute(3, 0, 1, 2)
        total = torch.zeros_like(latent[:, 0])
        for block in self.blocks:
            latent, log_determinant = block(latent)
            total = total + log_determinant
        return latent.permute(1, 2, 3, 0).flatten(1), total.permute(1, 2, 0).flatten()


class BlockGraph(nn.Module):
    """What `LocalAffineCoupling.transform` computes."""

    def __init__(self, block: LocalAffineCoupling) -> None:
        super().__init__()
        self.block = block
        self.log_gain: Tensor
        self.register_buffer("log_gain", block.log_gain().detach())

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent [N, C, H, W] and the log-determinant [N, H, W]."""
        block = self.block
        passive, active = features.split(block.splits, dim=1)
        log_scale, shift = block.coefficients(passive)
        joined = torch.cat([passive, shift + active * log_scale.exp()], 1)
        scaled = joined * self.log_gain.exp() + block.global_offset
        latent = scaled.index_select(1, block.permutation)
        return latent, log_scale.sum(1) + self.log_gain.sum()
