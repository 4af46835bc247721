"""A 2D normalizing flow: a chain of coupling blocks over one feature map."""

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from clflow.flows.coupling import LocalAffineCoupling, convolutional_subnet
from clflow.flows.pointwise import PointwiseFlow
from clflow.flows.settings import CouplingSettings


class Flow2d(nn.Module):
    """Maps a feature map to a latent of the same shape, location by location or with 3x3 context.

    In evaluation mode a pointwise flow takes a faster form, the same up to rounding and without
    gradients. It is made anew after a change of mode, weights loaded, or a move to another device
    or precision; parameters that are changed in place need one of these.

    Example:
        >>> settings = CouplingSettings(
        ...     steps=2, kernels=(1,), hidden_ratio=1.0, clamp=2.0, clamping="hard",
        ...     subnet_scale=0.1, global_affine="softplus", identity_start=True)
        >>> flow = Flow2d(6, settings, torch.Generator().manual_seed(0))
        >>> latent, log_determinant = flow(torch.randn(4, 6, 8, 8))
        >>> latent.shape, log_determinant.shape
        (torch.Size([4, 6, 8, 8]), torch.Size([4, 8, 8]))
    """

    def __init__(
        self, channels: int, settings: CouplingSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.channels = channels
        self.blocks = nn.ModuleList(
            _block(channels, settings.kernels[step % len(settings.kernels)], settings, generator)
            for step in range(settings.steps)
        )
        self.pointwise = settings.steps > 0 and set(settings.kernels) == {1}
        self._fast: PointwiseFlow | None = None
        self.register_load_state_dict_post_hook(_forget)

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode."""
        self._fast = None
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # by this torch moves a module: `to`, `cuda`, `double` and others
        self._fast = None
        return super()._apply(fn, recurse)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent [N, C, H, W] and the log-determinant per location [N, H, W]."""
        if self.pointwise and not self.training:
            self._fast = self._fast or PointwiseFlow(list(self.blocks))  # type: ignore[arg-type]
            return self._fast(features)
        latent, total = features, _zeros(features)
        for block in self.blocks:
            latent, log_determinant = block.transform(latent)  # type: ignore[operator]
            total = total + log_determinant
        return latent, total

    def inverse(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [N, C, H, W] and the inverse's log-determinant per location [N, H, W]."""
        features, total = latent, _zeros(latent)
        for block in reversed(self.blocks):
            features, log_determinant = block.inverse(features)  # type: ignore[operator]
            total = total + log_determinant
        return features, total


def _block(
    channels: int, kernel: int, settings: CouplingSettings, generator: torch.Generator
) -> LocalAffineCoupling:
    subnet = partial(convolutional_subnet, kernel=kernel, settings=settings, generator=generator)
    return LocalAffineCoupling(
        [(channels, 1, 1)],
        subnet,
        torch.randperm(channels, generator=generator),
        clamp=settings.clamp,
        clamping=settings.clamping,
        subnet_scale=settings.subnet_scale,
        global_affine=settings.global_affine,
    )


def _forget(flow: nn.Module, _: Any) -> None:
    flow._fast = None  # type: ignore[assignment]


def _zeros(maps: Tensor) -> Tensor:
    """Return a zero for each location [N, H, W]."""
    return maps.new_zeros(maps.shape[0], *maps.shape[2:])
