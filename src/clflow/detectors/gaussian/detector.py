"""FYD (arXiv 2110.04538): alignment in image and features, then PaDiM's density."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from clflow.alignment.image_alignment import ImageAlignment
from clflow.alignment.posed import Posed, posed, restored
from clflow.data.images import ImageSource
from clflow.detectors.base import SavedDetector
from clflow.detectors.folds import split
from clflow.detectors.gaussian.density import LocationGaussian, choose_channels, embed
from clflow.detectors.gaussian.fine import AlignedNetwork, FineAlignment
from clflow.detectors.gaussian.settings import FineAlignmentSettings, FydSettings
from clflow.detectors.protocol import NO_WORKSPACE, Scores, Workspace
from clflow.detectors.scoring import gaussian_smoothing
from clflow.errors import SettingsError
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.store import BATCH_SIZE, FeatureStore, read_pixels
from clflow.progress import say
from clflow.synthesis.training_data import TrainingData
from clflow.training.checkpoint import History
from clflow.training.loop import stream


class FydDetector(SavedDetector[FydSettings]):
    """Alignment of images, of features, of what features say; a Gaussian at each location.

    With every alignment off it is PaDiM (arXiv 2011.08785).

    Attributes:
        alignment_: of the images, also where it does not pay and is not active; None if not tried.
        history_: losses, and the features' standard deviation, at the logged steps of training.
    """

    settings_model = FydSettings
    usual_method = "fyd"

    def __init__(
        self,
        settings: FydSettings | None = None,
        *,
        method: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__(settings, method=method, device=device)
        self.store = FeatureStore(
            build_backbone(self.settings.backbone),
            self.settings.image_size,
            self.device,
            stretched=True,
        )
        self.alignment_: ImageAlignment | None = None
        self.network_: AlignedNetwork | None = None
        self.density_: LocationGaussian | None = None
        self.channels_ = torch.empty(0, dtype=torch.long)

    @property
    def backbone(self) -> Backbone:
        """The frozen network: what features are read from, or what the trained stages start as."""
        return self.store.backbone

    @property
    def learns_from_anomalies(self) -> bool:
        """Never: good images are all it looks at."""
        return False

    def fit(
        self, data: TrainingData, generator: torch.Generator, workspace: Workspace = NO_WORKSPACE
    ) -> Self:
        """Align images, then features, then fit the Gaussians; anomalies are not looked at.

        Raises:
            SettingsError: more channels are asked for than there are.
            TrainingError: a training diverged, or the features collapsed.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        self._align_images(data.good, seed, workspace)
        images = self._posed(data.good, "good images").images
        self._align_features(images, seed, workspace)
        levels = self._features(images, "features of good images", workspace)
        total = sum(level.shape[1] for level in levels)
        self.channels_ = choose_channels(total, self.settings.density, stream(seed, 4))
        features = embed(levels, self.channels_, self.settings.density.grid)
        self.density_ = self._new_density(*features.shape[1:]).fit(features)
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
        if not len(images):
            return Scores(np.empty(0, np.float32), np.empty((0, size, size), np.float32))
        found = self._posed(images, "images to score")
        levels = self._features(found.images, "features to score", workspace)
        starts = range(0, len(images), BATCH_SIZE)
        maps = torch.cat(
            [
                self._maps(
                    [level[start : start + BATCH_SIZE] for level in levels],
                    None if found.theta is None else found.theta[start : start + BATCH_SIZE],
                )
                for start in starts
            ]
        )
        return Scores(maps.amax((1, 2)).numpy(), maps.numpy())

    @torch.no_grad()
    def cross_fitted(
        self, images: ImageSource, folds: int = 10, workspace: Workspace = NO_WORKSPACE
    ) -> Scores:
        """Return scores of the good images it was fitted on, as if they were new to it.

        Each fold has the Gaussians of the others; the alignment of images is the one that was
        fitted on all of them.

        Raises:
            NotFittedError: the detector was not fitted.
            DataError: there are fewer images than folds.
            SettingsError: its stages were trained, on these very images.
        """
        self._check_fitted()
        if self.network_ is not None:
            raise SettingsError(
                "fine_alignment trained this detector's stages on the images that are to be "
                "scored as new: switch it off, or hold images out to set a threshold"
            )
        found = self._posed(images, "good images")
        levels = self._features(found.images, "features of good images", workspace)
        features = embed(levels, self.channels_, self.settings.density.grid)
        maps = torch.empty(len(images), *2 * [self.settings.image_size])
        for others, rows in split(len(images), folds, self.seed_):
            density = self._new_density(*features.shape[1:]).fit(features[others])
            for batch in rows.split(BATCH_SIZE):
                theta = None if found.theta is None else found.theta[batch]
                maps[batch] = self._drawn(density(features[batch].to(self.device)), theta)
        return Scores(maps.amax((1, 2)).numpy(), maps.numpy())

    def _maps(self, levels: list[np.ndarray], theta: Tensor | None) -> Tensor:
        assert self.density_ is not None
        features = embed(levels, self.channels_, self.settings.density.grid)
        return self._drawn(self.density_(features.to(self.device)), theta)

    def _drawn(self, distances: Tensor, theta: Tensor | None) -> Tensor:
        """Return smoothed distances in the frame of the images as they came [N, S, S]."""
        maps = restored(distances.cpu(), theta, self.settings.image_size)
        return gaussian_smoothing(maps, self.settings.score.smoothing)

    def _align_images(self, images: ImageSource, seed: int, workspace: Workspace) -> None:
        settings = self.settings.image_alignment
        if settings.kind == "none":
            return
        pixels = self._pixels(images, "good images to align")
        self.alignment_ = ImageAlignment(settings, seed)
        self.alignment_.fit(pixels, _aside(workspace.checkpoint))
        self.history_ = self.alignment_.history_

    def _posed(self, images: ImageSource, label: str) -> Posed:
        """Return images in one pose, where their alignment pays."""
        active = self.alignment_ is not None and self.alignment_.active_
        alignment = self.alignment_ if active else None
        return posed(alignment, images, self.settings.image_size, label)

    def _align_features(self, images: ImageSource, seed: int, workspace: Workspace) -> None:
        settings = self.settings.fine_alignment
        if not settings.enabled or self._refused(settings):
            return
        self.network_ = self._new_network(seed)
        pixels = self._pixels(images, "good images to train on")
        fine = FineAlignment(self.network_, settings, seed).to(self.device)
        history = fine.fit(pixels, self.device, workspace.checkpoint)
        self.history_ = _after(self.history_, history)

    def _refused(self, settings: FineAlignmentSettings) -> bool:
        refused = settings.decide and self.alignment_ is not None and not self.alignment_.active_
        if refused:
            say("fine alignment off: image alignment brought good images no closer to each other")
        return refused

    def _features(self, images: ImageSource, label: str, workspace: Workspace) -> list[np.ndarray]:
        """Return each level's maps, float16 [N, C, H, W], of the backbone or the trained stages."""
        if self.network_ is None:
            return self.store.features(images, label, workspace.features)
        pixels = self._pixels(images, label)
        batches = [
            self.network_.features(batch.to(self.device)) for batch in pixels.split(BATCH_SIZE)
        ]
        return [torch.cat(level).half().cpu().numpy() for level in zip(*batches, strict=True)]

    def _pixels(self, images: ImageSource, label: str) -> Tensor:
        return read_pixels(images, self.settings.image_size, label)

    def _new_network(self, seed: int) -> AlignedNetwork:
        feature = self.settings.feature_alignment
        transformer = feature.transformer if feature.enabled else None
        return AlignedNetwork(
            self.backbone, self.settings.image_size, transformer, stream(seed, 5)
        ).to(self.device)

    def _new_density(self, channels: int, height: int, width: int) -> LocationGaussian:
        density = LocationGaussian(channels, (height, width), self.settings.density)
        return density.to(self.device)

    def _state(self) -> nn.ModuleDict:
        parts = {
            "alignment": self.alignment_,
            "network": self.network_,
            "density": self.density_,
        }
        return nn.ModuleDict({name: part for name, part in parts.items() if part is not None})

    def _tensors(self) -> dict[str, Tensor]:
        return self._state().state_dict()

    def _description(self) -> dict[str, Any]:
        density, alignment = self.density_, self.alignment_
        assert density is not None
        return {
            "backbone": self._fingerprint(),
            "channels": self.channels_.tolist(),
            "size": list(density.size),
            "trained": self.network_ is not None,
            "image_alignment": None
            if alignment is None
            else {"active": alignment.active_, "gain": alignment.gain_},
        }

    def _restore(self, description: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        settings = self.settings
        if settings.image_alignment.kind != "none":
            self.alignment_ = ImageAlignment(settings.image_alignment)
            self.alignment_.active_ = description["image_alignment"]["active"]
            self.alignment_.gain_ = description["image_alignment"]["gain"]
        if description["trained"]:
            self.network_ = self._new_network(0).eval()
        self.channels_ = torch.tensor(description["channels"])
        self.density_ = self._new_density(len(self.channels_), *description["size"])
        self._state().load_state_dict(tensors)

    def _fingerprint(self) -> str:
        return self.store.fingerprint


def _aside(checkpoint: Path | None) -> Path | None:
    """Return where the first of two trainings keeps its checkpoint."""
    return (
        None if checkpoint is None else checkpoint.with_name(f"{checkpoint.stem}-image.safetensors")
    )


def _after(first: History, second: History) -> History:
    """Return two histories as one: the steps of the second follow those of the first."""
    start = int(first[-1]["step"]) + 1 if first else 0
    return first + [row | {"step": start + row["step"]} for row in second]
