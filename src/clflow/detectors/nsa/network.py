"""NSA's encoder-decoder (arXiv 2109.15222): ResNet-18 down, transposed residual blocks up."""

import math
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss, relu

from clflow.detectors.nsa.plan import Inputs
from clflow.detectors.nsa.settings import Precision
from clflow.features.torchvision_shim import ensure_torchvision
from clflow.synthesis.labels import LabelKind

ensure_torchvision()

import timm  # noqa: E402  (needs torchvision)


def activate(output: Tensor, label: LabelKind) -> Tensor:
    """Return anomaly maps: ReLU for labels in grey levels, else a sigmoid."""
    return torch.relu(output) if label == "intensity" else torch.sigmoid(output)


def label_loss(output: Tensor, target: Tensor, label: LabelKind) -> Tensor:
    """Return the mean loss of an output before its activation [N, H, W] and its labels."""
    if label == "intensity":
        return mse_loss(torch.relu(output), target)
    return binary_cross_entropy_with_logits(output, target)


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Return whether to compute in bfloat16: as told, or where the processor multiplies it fast."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # older versions of torch do not tell
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))


def mixed(device: torch.device, *, bfloat16: bool) -> torch.autocast:
    """Return the context in which a forward pass computes; parameters stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


# ImageNet's, of values 0..255
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)
_USUAL = Inputs()


class Encoder(nn.Module):
    """ResNet-18 without its pooling and classifier; stride 32, 512 channels."""

    def __init__(self, inputs: Inputs = _USUAL) -> None:
        super().__init__()
        self.channels = inputs.channels
        self.blocks = timm.create_model(
            "resnet18",
            pretrained=False,
            features_only=True,
            out_indices=(4,),
            in_chans=inputs.channels,
        )
        self.mean: Tensor
        self.std: Tensor
        for name, values in zip(("mean", "std"), _scale(inputs), strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return features [N, 512, H / 32, W / 32] of uint8 images [N, 3, H, W]."""
        # three equal levels have exactly their level as mean
        seen = images.float().mean(1, keepdim=True) if self.channels == 1 else images
        inputs = (seen - self.mean) / self.std
        features: Tensor = self.blocks(inputs.contiguous(memory_format=torch.channels_last))[-1]
        return features


def _scale(inputs: Inputs) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return what is subtracted from each channel of values 0..255, and what divides it then."""
    if not inputs.standardised:
        return (0.0,) * inputs.channels, (255.0,) * inputs.channels
    if inputs.channels == 1:
        return (fmean(_MEAN),), (fmean(_STD),)
    return _MEAN, _STD


class UpBlock(nn.Module):
    """A residual block that doubles height and width."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(channels, out, 3, 2, padding=1, output_padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut = nn.Sequential(
            nn.ConvTranspose2d(channels, out, 1, 2, output_padding=1, bias=False),
            nn.BatchNorm2d(out),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features [N, out, 2 H, 2 W]."""
        return relu(self.main(features) + self.shortcut(features))


class Decoder(nn.Module):
    """Bottleneck, three blocks, bilinear doubling and a last transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.Sequential(
            nn.Conv2d(512, 256, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 128, 1, bias=False),
            nn.ReLU(inplace=True),
        )
        self.blocks = nn.Sequential(UpBlock(128, 64), UpBlock(64, 32), UpBlock(32, 16))
        self.head = nn.ConvTranspose2d(16, 1, 7, 2, padding=3, output_padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the output before its activation, float32 [N, 32 H, 32 W]."""
        features = self.blocks(self.bottleneck(features))
        # bfloat16 would tie scores: it has three digits
        with torch.autocast(features.device.type, enabled=False):
            output: Tensor = self.head(doubled(features.float()))
        return output[:, 0]


class EncoderDecoder(nn.Module):
    """The whole network, 11,497,712 parameters with three channels, no skip connections."""

    def __init__(self, inputs: Inputs = _USUAL) -> None:
        super().__init__()
        self.encoder = Encoder(inputs)
        self.decoder = Decoder()

    def forward(self, images: Tensor) -> Tensor:
        """Return the output before its activation, float32 [N, H, W], of uint8 [N, 3, H, W]."""
        output: Tensor = self.decoder(self.encoder(images))
        return output


def doubled(features: Tensor) -> Tensor:
    """Return maps [N, C, H, W] at twice the size, bilinear with corners kept.

    As two matrix products: torch's interpolation has no deterministic gradient on a GPU.
    """
    rows, columns = (_doubling(size, features) for size in features.shape[2:])
    return rows @ features @ columns.T


def _doubling(size: int, like: Tensor) -> Tensor:
    """Return the matrix [2 size, size] that interpolates linearly, first and last value kept."""
    place = torch.linspace(0, size - 1, 2 * size, dtype=like.dtype, device=like.device)
    index = torch.arange(size, dtype=like.dtype, device=like.device)
    return (1 - (place[:, None] - index).abs()).clamp(min=0)


def build_network(generator: torch.Generator, inputs: Inputs = _USUAL) -> EncoderDecoder:
    """Return a network with the authors' initial weights, drawn from `generator`.

    Convolutions are Kaiming-normal (fan out), transposed ones have torch's own default.
    """
    # what timm and torch draw is replaced: global random state stays untouched
    with torch.random.fork_rng(devices=[]):
        network = EncoderDecoder(inputs)
    for module in network.modules():
        if isinstance(module, nn.ConvTranspose2d):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
