"""A pointwise flow in the form that scores fastest: fixed weights, few passes over memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clflow.flows.coupling import LocalAffineCoupling

Affine = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Step:
    """One block on features that still wait for the affine maps of earlier blocks.

    Attributes:
        passive, active: which features are read and which are changed.
        first, last: matrix and bias of the sub-net's layers, made for waiting features.
        log_gain, offset: the active features are exp(log_gain) (x + offset), [A, 1] each.
        clamp: bound of a log-scale, 0 where all are zero.
    """

    passive: Tensor
    active: Tensor
    first: Affine
    last: Affine
    log_gain: Tensor
    offset: Tensor
    clamp: float

    def __call__(self, features: Tensor) -> Tensor | float:
        """Change features [N, C, L] in place and return the sum of the log-scales [N, L]."""
        hidden = _mixed(self.first, features.index_select(1, self.passive)).relu_()
        scale, shift = _mixed(self.last, hidden).chunk(2, 1)
        gain, total = self._gain(scale)
        active = features.index_select(1, self.active).add_(self.offset)
        features.index_copy_(1, self.active, shift.addcmul_(active, gain))
        return total

    def _gain(self, scale: Tensor) -> tuple[Tensor, Tensor | float]:
        if not self.clamp:
            return self.log_gain.exp(), 0.0
        bounded = scale.sigmoid_()
        total = bounded.sum(1).mul_(2 * self.clamp).sub_(self.clamp * scale.shape[1])
        return bounded.mul_(2 * self.clamp).add_(self.log_gain - self.clamp).exp_(), total


class PointwiseFlow:
    """What blocks with 1x1 sub-nets do in turn, up to rounding, without gradients.

    No block moves features to their permuted places: it is remembered where each lies. The affine
    map at the end of a block waits until a feature is changed again; where a feature is only read,
    it is part of the weights.
    """

    def __init__(self, blocks: Sequence[LocalAffineCoupling]) -> None:
        first = blocks[0].global_offset.detach().flatten()
        log_gain, offset = torch.zeros_like(first), torch.zeros_like(first)
        place = torch.arange(len(first), device=first.device)
        self.steps: list[Step] = []
        self.log_determinant = 0.0
        for block in blocks:
            step = _step(block, place, log_gain, offset)
            own = block.log_gain().detach().flatten()
            log_gain[step.active], offset[step.active] = 0, 0
            log_gain[place] += own
            offset[place] = offset[place] * own.exp() + block.global_offset.detach().flatten()
            place = place[block.permutation]
            self.steps.append(step)
            self.log_determinant += own.sum().item()
        self.gain, self.offset, self.place = log_gain.exp()[:, None], offset[:, None], place

    def __call__(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent [N, C, H, W] and the log-determinant per location [N, H, W]."""
        flat = features.flatten(2).clone(memory_format=torch.contiguous_format)
        total = torch.full_like(flat[:, 0], self.log_determinant)
        for step in self.steps:
            total += step(flat)
        latent = flat.mul_(self.gain).add_(self.offset).index_select(1, self.place)
        return latent.reshape_as(features), total.unflatten(1, features.shape[2:])


def _step(block: LocalAffineCoupling, place: Tensor, log_gain: Tensor, offset: Tensor) -> Step:
    passive, active = place.split(block.splits)
    layers = [layer for layer in block.subnet.children() if isinstance(layer, nn.Conv2d)]
    (first, first_bias), (last, last_bias) = map(_layer, layers)
    outputs = torch.full_like(last_bias, block.subnet_scale)
    outputs[: len(active)] *= 2 * block.slope
    return Step(
        passive=passive,
        active=active,
        first=(first * log_gain[passive].exp(), first_bias + first @ offset[passive, None]),
        last=(last * outputs, last_bias * outputs),
        log_gain=log_gain[active, None],
        offset=(offset[active] / log_gain[active].exp())[:, None],
        clamp=0.0 if block.clamping == "none" else block.clamp,
    )


def _layer(layer: nn.Conv2d) -> Affine:
    assert layer.bias is not None
    return layer.weight.detach().flatten(1), layer.bias.detach()[:, None]


def _mixed(layer: Affine, maps: Tensor) -> Tensor:
    matrix, bias = (part.expand(len(maps), -1, -1) for part in layer)
    return torch.baddbmm(bias, matrix, maps)
