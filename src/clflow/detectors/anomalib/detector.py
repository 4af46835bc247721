"""A peer of the library anomalib behind our protocol: its own code trains and scores."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from clflow.data.images import ImageSource
from clflow.detectors.anomalib.handover import lent_global_state, normalised, own_tensors
from clflow.detectors.anomalib.settings import PeerSettings
from clflow.detectors.base import SavedDetector
from clflow.detectors.protocol import NO_WORKSPACE, Scores, Workspace
from clflow.errors import SettingsError, TrainingError
from clflow.features.backbone import build_backbone
from clflow.features.registry import backbone_spec
from clflow.features.store import read_pixels
from clflow.synthesis.training_data import TrainingData

BATCH_SIZE = 16


class PeerDetector(SavedDetector[PeerSettings]):
    """A model of anomalib on our backbone, trained as anomalib trains it.

    Its pre- and post-processing are left out: images are resized and normalised as for our own
    methods; scores and maps are what its model computes, neither normalised nor clamped. An
    interrupted run starts anew.

    Attributes:
        target: `module:class` of the peer.
        history_: mean loss of each epoch, empty for a peer that only collects features.
        model_: the peer's torch model.
    """

    target: ClassVar[str]

    def __init__(
        self,
        settings: PeerSettings | None = None,
        *,
        method: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__(settings, method=method, device=device)
        self.backbone = build_backbone(self.settings.backbone).to(self.device)
        self.fingerprint = self.backbone.fingerprint()
        self.model_: nn.Module = nn.Identity()

    @property
    def learns_from_anomalies(self) -> bool:
        """Never: what a method of anomalib needs beside good images it makes itself."""
        return False

    def arguments(self) -> dict[str, Any]:
        """Return what the peer's constructor is given."""
        name = backbone_spec(self.settings.backbone.name).timm_name
        levels = list(self.settings.levels)
        return {"backbone": name, "layers": levels, **self.settings.arguments}

    def build(self) -> Any:
        """Return the peer's untrained Lightning module; its weights come from global state."""
        # anomalib is an extra
        from clflow.detectors.anomalib.training import build_module

        return build_module(self.target, self.backbone, self.settings.image_size, self.arguments())

    def train(self, module: Any, pixels: Tensor, seed: int) -> list[dict[str, float]]:
        """Train the module in place on good images, uint8 [N, 3, H, W]; return its history."""
        from clflow.detectors.anomalib.training import run_training, training_batches

        batches = training_batches(pixels, self.backbone, self.settings.batch_size, seed)
        return run_training(module, batches, self.settings.epochs, self.device)

    def raw_scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return image scores [N] and maps [N, 1, H, W] of normalised images [N, 3, H, W]."""
        output = self.model_(images)
        return output.pred_score, output.anomaly_map

    def fit(
        self, data: TrainingData, generator: torch.Generator, workspace: Workspace = NO_WORKSPACE
    ) -> Self:
        """Run the peer's own training on the good images.

        Raises:
            SettingsError: the peer refuses its parameters.
            TrainingError: the run diverged.
        """
        seed = int(torch.randint(2**31, (), generator=generator))
        pixels = read_pixels(data.good, self.settings.image_size, "good images").contiguous()
        with lent_global_state(seed), _refusals_told(self.target):
            module = self.build()
            self.history_ = self.train(module, pixels, seed)
        self.model_ = _in_order(module.model.to(self.device).eval())
        if self.backbone.fingerprint() != self.fingerprint:
            raise TrainingError(f"{self.target} changed the weights of its frozen backbone")
        self.seed_ = generator.initial_seed()
        return self

    @torch.inference_mode()
    def score(self, images: ImageSource, workspace: Workspace = NO_WORKSPACE) -> Scores:
        """Return raw image scores [N] and anomaly maps [N, image_size, image_size].

        Raises:
            NotFittedError: the detector was not fitted.
        """
        self._check_fitted()
        size = self.settings.image_size
        pixels = read_pixels(images, size, "images to score").contiguous()
        scores = np.empty(len(images), np.float32)
        maps = np.empty((len(images), size, size), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            raw, raw_maps = self.raw_scores(normalised(pixels[rows], self.backbone))
            scores[rows] = raw.reshape(-1).cpu().numpy()
            maps[rows] = raw_maps.reshape(-1, size, size).cpu().numpy()
        return Scores(scores, maps)

    def _tensors(self) -> dict[str, Tensor]:
        # anomalib's models share memory between tensors, which safetensors refuses
        return {name: value.clone() for name, value in self._own_tensors(self.model_).items()}

    def _own_tensors(self, model: nn.Module) -> dict[str, Tensor]:
        return own_tensors(model, self.backbone)

    def _description(self) -> dict[str, Any]:
        return {"backbone": self._fingerprint(), "target": self.target}

    def _restore(self, description: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        with lent_global_state(0), _refusals_told(self.target):
            model = self.build().model
        own = self._own_tensors(model)
        if own.keys() != tensors.keys():
            odd = sorted(own.keys() ^ tensors.keys())
            raise SettingsError(
                f"{self.target} has other tensors than were saved, first {odd[0]!r}; install the "
                "version named in run.json or train again"
            )
        model.load_state_dict(tensors, strict=False)
        self.model_ = model.to(self.device).eval()

    def _fingerprint(self) -> str:
        return self.fingerprint


@contextmanager
def _refusals_told(target: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise SettingsError(f"{target} refuses its parameters: {error}") from error


def _in_order(model: nn.Module) -> nn.Module:
    """Lay buffers out as a loaded model has them: products of matrices round by layout."""
    for buffer in model.buffers():
        buffer.data = buffer.data.contiguous()
    return model
