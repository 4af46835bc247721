"""A peer that needs no anomalib: it asks timm for a backbone and draws globally."""

import random
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clflow.detectors.anomalib.detector import PeerDetector
from clflow.detectors.anomalib.handover import handed_over, normalised
from clflow.detectors.anomalib.settings import PadimSettings

timm = import_module("timm")  # after what makes torchvision importable


class FakeModel(nn.Module):
    """Distance of one level's features from their mean, in a few random channels."""

    def __init__(self, levels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.extractor = nn.Sequential(
            timm.create_model(
                "some_resnet", pretrained=True, features_only=True, out_indices=list(levels)
            )
        )
        drawn = torch.randperm(24)[:channels]
        self.register_buffer("drawn", drawn)
        self.register_buffer("draws", torch.tensor([random.random(), np.random.rand()]))  # noqa: NPY002
        self.register_buffer("mean", torch.zeros(channels))

    def features(self, images: Tensor) -> Tensor:
        return self.extractor(images)[0][:, self.drawn]

    def forward(self, images: Tensor) -> SimpleNamespace:
        distance = (self.features(images) - self.mean[:, None, None]).norm(dim=1, keepdim=True)
        maps = interpolate(distance, size=images.shape[-2:], mode="bilinear")
        return SimpleNamespace(pred_score=maps.amax((1, 2, 3)), anomaly_map=maps)


class FakePeer(PeerDetector):
    """The fake behind the protocol."""

    target = "nowhere:Fake"
    settings_model = PadimSettings
    usual_method = "anomalib.padim"

    def build(self) -> Any:
        channels = int(self.settings.arguments["n_features"])  # type: ignore[call-overload]
        with handed_over(self.backbone):
            return SimpleNamespace(model=FakeModel(self.settings.levels, channels))

    def train(self, module: Any, pixels: Tensor, seed: int) -> list[dict[str, float]]:
        features = module.model.features(normalised(pixels, self.backbone))
        module.model.mean.copy_(features.mean((0, 2, 3)).detach())
        return [{"step": 0, "loss": float(seed % 7)}]
