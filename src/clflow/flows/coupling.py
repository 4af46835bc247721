"""Affine coupling, a FrEIA module that also tells each location's log-determinant; its sub-nets."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from FrEIA.modules import InvertibleModule
from torch import Tensor, nn
from torch.nn.functional import softplus

from clflow.flows.settings import CouplingSettings

SubnetConstructor = Callable[[int, int], nn.Module]


class ChannelMixing(nn.Conv2d):
    """A 1x1 convolution as a product of matrices, which a CPU does faster."""

    def forward(self, input: Tensor) -> Tensor:
        """Return maps [N, outputs, H, W] of maps [N, inputs, H, W]."""
        assert self.bias is not None
        count = input.shape[0]
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


class _PermuteChannels(torch.autograd.Function):
    """Channel permutation whose gradient is the inverse permutation: a gather, not a scatter."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, permutation: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(permutation, inverse)
        return x.index_select(1, permutation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        permutation, inverse = ctx.saved_tensors
        return permute_channels(gradient, inverse, permutation), None, None


def permute_channels(x: Tensor, permutation: Tensor, inverse: Tensor) -> Tensor:
    """Return x [N, C, H, W] with its channels permuted."""
    return _PermuteChannels.apply(x, permutation, inverse)


class LocalAffineCoupling(InvertibleModule):
    r"""Coupling, global affine and permutation with the log-determinant of every location.

    The map is that of FrEIA's `AllInOneBlock`, and `forward` keeps its contract, so that FrEIA's
    graphs take this block as one of theirs.

    With passive half :math:`x_1`, active half :math:`x_2` and :math:`[s, t] =
    \alpha\,\mathrm{subnet}(x_1)`,

    .. math:: u_2 = x_2 \exp(a(s)) + t, \qquad y = P\,(g \odot [x_1, u_2] + b),

    where :math:`a(s) = c \tanh(s)` (`hard`), :math:`c \tanh(s / c)` (`soft`) or 0 (`none`), and
    :math:`g` is 1 without a global affine. `transform` and `inverse` do not sum the log-determinant
    over locations: it is :math:`\sum_c a_c(h, w) + \sum_c \log g_c`, of shape [N, H, W], so that
    the likelihood of each location is known. With 1x1 sub-nets it is the exact log-determinant of
    that location's map; with 3x3 sub-nets its sum over locations is that of the whole map, since
    the Jacobian stays triangular.

    Example:
        >>> from FrEIA.framework import SequenceINN
        >>> network = SequenceINN(2, 4, 4)
        >>> network.append(
        ...     LocalAffineCoupling,
        ...     subnet_constructor=lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1),
        ...     permutation=torch.tensor([1, 0]))
        >>> latent, log_determinant = network(torch.randn(3, 2, 4, 4))
        >>> latent.shape, log_determinant.shape
        (torch.Size([3, 2, 4, 4]), torch.Size([3]))
    """

    def __init__(
        self,
        dims_in: Sequence[tuple[int, ...]],
        subnet_constructor: SubnetConstructor,
        permutation: Tensor,
        clamp: float = 2.0,
        clamping: Literal["hard", "soft", "none"] = "hard",
        subnet_scale: float = 0.1,
        global_affine: Literal["softplus", "exp", "none"] = "softplus",
    ) -> None:
        super().__init__(dims_in, [])
        channels = dims_in[0][0]
        self.splits = (channels - channels // 2, channels // 2)
        self.clamp = clamp
        self.clamping = clamping
        self.slope = 1.0 if clamping == "hard" else 1.0 / clamp
        self.subnet_scale = subnet_scale
        self.global_affine = global_affine
        start = 2 * math.log(math.expm1(5.0)) if global_affine == "softplus" else 0.0
        self.global_scale = nn.Parameter(torch.full((1, channels, 1, 1), start))
        self.global_offset = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.permutation: Tensor
        self.inverse_permutation: Tensor
        self.register_buffer("permutation", permutation)
        self.register_buffer("inverse_permutation", torch.argsort(permutation))
        self.subnet = subnet_constructor(self.splits[0], 2 * self.splits[1])

    def forward(
        self,
        x_or_z: Iterable[Tensor],
        c: Iterable[Tensor] | None = None,
        rev: bool = False,
        jac: bool = True,
    ) -> tuple[tuple[Tensor], Tensor]:
        """Return the latents [N, C, H, W] of feature maps and the log-determinant [N].

        Args:
            x_or_z: one tensor, feature maps or, with `rev`, latents [N, C, H, W].
            c: no conditions are taken.
            rev: map latents to features, and return the log-determinant of that.
            jac: it costs next to nothing and is always returned.
        """
        (maps,) = x_or_z
        mapped, log_determinant = self.inverse(maps) if rev else self.transform(maps)
        return (mapped,), log_determinant.sum((1, 2))

    def transform(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent [N, C, H, W] and the log-determinant per location [N, H, W]."""
        passive, active = x.split(self.splits, dim=1)
        log_scale, shift = self.coefficients(passive)
        log_gain = self.log_gain()
        joined = torch.cat((passive, torch.addcmul(shift, active, log_scale.exp())), dim=1)
        # not addcmul, which is three times slower where values are shared by locations
        scaled = (joined * log_gain.exp()).add_(self.global_offset)
        permuted = permute_channels(scaled, self.permutation, self.inverse_permutation)
        return permuted, log_scale.sum(1) + log_gain.sum()

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features [N, C, H, W] and the inverse's log-determinant per location."""
        log_gain = self.log_gain()
        z = permute_channels(z, self.inverse_permutation, self.permutation)
        joined = (z - self.global_offset) * (-log_gain).exp()
        passive, active = joined.split(self.splits, dim=1)
        log_scale, shift = self.coefficients(passive)
        active = (active - shift) * (-log_scale).exp()
        return torch.cat((passive, active), dim=1), -log_scale.sum(1) - log_gain.sum()

    def coefficients(self, passive: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-scale and shift [N, A, H, W] of the active half from the passive one."""
        scale, shift = self.subnet(passive).chunk(2, dim=1)
        shift = self.subnet_scale * shift
        if self.clamping == "none":
            return torch.zeros_like(scale), shift
        # tanh by the logistic function, which takes a sixth of tanh's time on a CPU
        bounded = torch.sigmoid(2 * self.slope * self.subnet_scale * scale)
        return 2 * self.clamp * bounded - self.clamp, shift

    def log_gain(self) -> Tensor:
        """Return the logarithm of the gain that all locations share [1, C, 1, 1]."""
        if self.global_affine == "none":
            return torch.zeros_like(self.global_scale)
        if self.global_affine == "exp":
            return self.global_scale
        return (0.1 * softplus(self.global_scale, beta=0.5)).log()

    def output_dims(self, input_dims: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return the dimensions of one input, unchanged.

        Raises:
            ValueError: there is not one input of shape (C, H, W).
        """
        if len(input_dims) != 1 or len(input_dims[0]) != 3:
            raise ValueError(
                f"{type(self).__name__} maps one input of shape (C, H, W), not {input_dims}"
            )
        return input_dims
