"""The flow detector: FastFlow, the paper's CL-Flow and ours are settings of it."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from clflow.alignment.image_alignment import ImageAlignment
from clflow.alignment.posed import Posed, fit_alignment, posed, posed_anomalies, restored
from clflow.data.images import ImageSource
from clflow.detectors.base import SavedDetector
from clflow.detectors.flow.dataset import (
    TrainingFeatures,
    fit_normalizations,
    fused,
    gather,
    negative_features,
    normalize_for_training,
)
from clflow.detectors.flow.density import LevelDensity
from clflow.detectors.flow.normalization import Normalization
from clflow.detectors.flow.settings import FlowSettings
from clflow.detectors.flow.training import train
from clflow.detectors.protocol import NO_WORKSPACE, Scores, Workspace
from clflow.detectors.scoring import anomaly_maps, image_scores
from clflow.errors import DataError
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.store import BATCH_SIZE, FeatureStore
from clflow.synthesis.training_data import SyntheticAnomalies, TrainingData


class FlowDetector(SavedDetector[FlowSettings]):
    """Images in one pose, frozen backbone, fixed normalisation, one flow per level.

    Attributes:
        history_: loss and its terms at the logged steps.
    """

    settings_model = FlowSettings
    usual_method = "clflow"

    def __init__(
        self,
        settings: FlowSettings | None = None,
        *,
        method: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__(settings, method=method, device=device)
        self.store = FeatureStore(
            build_backbone(self.settings.backbone),
            self.settings.image_size,
            self.device,
            stretched=self.settings.aspect == "stretch",
        )
        self.alignment_: ImageAlignment | None = None
        self.normalizations_ = nn.ModuleList()
        self.densities_ = nn.ModuleList()

    @property
    def backbone(self) -> Backbone:
        """The frozen network whose features the flows model."""
        return self.store.backbone

    @property
    def learns_from_anomalies(self) -> bool:
        """Whether any loss needs synthetic anomalies."""
        return self.settings.uses_negatives

    def fit(
        self, data: TrainingData, generator: torch.Generator, workspace: Workspace = NO_WORKSPACE
    ) -> Self:
        """Fit the normalisation in closed form, then train the flows.

        Raises:
            DataError: the losses need synthetic anomalies and there are none.
            TrainingError: the run diverged.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        size = self.settings.image_size
        stretched = self.settings.aspect == "stretch"
        self.alignment_ = fit_alignment(
            self.settings.alignment, data.good, size, seed, stretched=stretched
        )
        features = self._training_features(data, workspace, torch.Generator().manual_seed(seed))
        self._new_densities([level.shape[1] for level in features.good], seed)
        self.normalizations_.to(self.device)
        self.seed_ = generator.initial_seed()
        self.history_ = train(
            self.densities_, features, self.settings, seed, self.device, workspace
        )
        return self

    @torch.inference_mode()
    def score(self, images: ImageSource, workspace: Workspace = NO_WORKSPACE) -> Scores:
        """Return raw image scores [N] and anomaly maps [N, image_size, image_size].

        Raises:
            NotFittedError: the detector was not fitted.
        """
        self._check_fitted()
        if not len(images):
            size = self.settings.image_size
            return Scores(np.empty(0, np.float32), np.empty((0, size, size), np.float32))
        found = self._posed(images, "images to align")
        features = self.store.features(found.images, "features to score", workspace.features)
        maps = torch.cat(
            [
                self._maps(fused(features, slice(start, start + BATCH_SIZE), self.settings))
                for start in range(0, len(images), BATCH_SIZE)
            ]
        )
        maps = restored(maps, found.theta)
        scores = image_scores(maps, self.settings.score.top_fraction)
        return Scores(scores.numpy(), maps.numpy())

    def _maps(self, levels: list[Tensor]) -> Tensor:
        evidence = [
            density(normalization(level.to(self.device)))
            for level, normalization, density in zip(
                levels, self.normalizations_, self.densities_, strict=True
            )
        ]
        return anomaly_maps(evidence, self.settings.image_size, self.settings.score).cpu()

    def _training_features(
        self, data: TrainingData, workspace: Workspace, generator: torch.Generator
    ) -> TrainingFeatures:
        settings = self.settings
        images = self._posed(data.good, "good images to align").images
        good = self._gathered(images, "features of good images", workspace)
        fitted = fit_normalizations(good, settings)
        self.normalizations_ = nn.ModuleList(fitted)
        if not settings.uses_negatives:
            normalize_for_training(good, None, (), fitted, settings, generator)
            return TrainingFeatures(good, None)
        anomalies = posed_anomalies(self.alignment_, _required(data.anomalies), settings.image_size)
        levels = self._gathered(anomalies.images, "features of anomalies", workspace)
        normalize_for_training(good, levels, anomalies.sources, fitted, settings, generator)
        return TrainingFeatures(
            good, negative_features(levels, anomalies, len(data.good), settings)
        )

    def _posed(self, images: ImageSource, label: str) -> Posed:
        return posed(self.alignment_, images, self.settings.image_size, label)

    def _gathered(self, images: ImageSource, label: str, workspace: Workspace) -> list[Tensor]:
        return gather(self.store.features(images, label, workspace.features), self.settings)

    def _new_densities(self, channels: list[int], seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.densities_ = nn.ModuleList(
            LevelDensity(count, self.settings, generator) for count in channels
        ).to(self.device)

    def _state(self) -> nn.ModuleDict:
        state = nn.ModuleDict({"normalization": self.normalizations_, "density": self.densities_})
        if self.alignment_ is not None:
            state["alignment"] = self.alignment_
        return state

    def _tensors(self) -> dict[str, Tensor]:
        return self._state().state_dict()

    def _description(self) -> dict[str, Any]:
        levels = [
            {"channels": len(n.scale), "size": list(n.size)}  # type: ignore[arg-type]
            for n in self.normalizations_
        ]
        return {
            "backbone": self._fingerprint(),
            "levels": levels,
            "aligned": self.alignment_ is not None,
        }

    def _restore(self, description: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        levels = description["levels"]
        self.normalizations_ = nn.ModuleList(
            Normalization(level["channels"], tuple(level["size"]), self.settings.normalization)
            for level in levels
        )
        self._new_densities([level["channels"] for level in levels], 0)
        if description["aligned"]:
            self.alignment_ = ImageAlignment(self.settings.alignment)
        self._state().load_state_dict(tensors)
        self.densities_.eval()
        self.normalizations_.to(self.device)

    def _fingerprint(self) -> str:
        return self.store.fingerprint


def _required(anomalies: SyntheticAnomalies | None) -> SyntheticAnomalies:
    if anomalies is None or not len(anomalies.images):
        message = (
            "this method learns from synthetic anomalies and none were given: run the "
            "synthesize stage, or set classification.weight and contrast.weight to 0"
        )
        raise DataError(message)
    return anomalies
