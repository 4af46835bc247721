"""The loss of one training step, from a batch of good images and one anomaly of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clflow.detectors.flow.dataset import NegativeFeatures, TrainingFeatures
from clflow.detectors.flow.density import Evidence, LevelDensity
from clflow.detectors.flow.losses import (
    box_features,
    cosine_contrast,
    hinge,
    projection_contrast,
    ranking,
    smoothed_cross_entropy,
)
from clflow.detectors.flow.settings import FlowSettings


@dataclass(frozen=True)
class Batch:
    """Good images, an anomaly of each that has one, and these ones' positions among the good."""

    good: Tensor
    negatives: Tensor
    twins: Tensor


def draw_batch(
    rows: Tensor, negatives: NegativeFeatures | None, generator: torch.Generator
) -> Batch:
    """Pick one of each good image's anomalies at random."""
    picked: list[int] = []
    twins: list[int] = []
    if negatives is not None:
        for position, row in enumerate(rows.tolist()):
            variants = negatives.of_good[row]
            if variants:
                choice = int(torch.randint(len(variants), (), generator=generator))
                picked.append(variants[choice])
                twins.append(position)
    return Batch(
        rows, torch.tensor(picked, dtype=torch.long), torch.tensor(twins, dtype=torch.long)
    )


class Objective:
    """Sums the losses over levels; terms are returned for the history."""

    def __init__(
        self, data: TrainingFeatures, settings: FlowSettings, device: torch.device
    ) -> None:
        self.data = data
        self.settings = settings
        self.device = device

    def __call__(
        self,
        densities: Sequence[LevelDensity],
        batch: Batch,
        ramp: float,
        generator: torch.Generator,
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss and its unweighted terms; `ramp` scales the losses of the negatives."""
        terms: dict[str, Tensor] = {}
        for index, density in enumerate(densities):
            for name, value in self._level(index, density, batch, generator).items():
                terms[name] = terms[name] + value if name in terms else value
        loss = terms["nll"]
        if "classification" in terms:
            loss = loss + ramp * self.settings.classification.weight * terms["classification"]
        if "contrast" in terms:
            loss = loss + ramp * self.settings.contrast.weight * terms["contrast"]
        return loss, {name: value.item() for name, value in terms.items()}

    def _level(
        self, index: int, density: LevelDensity, batch: Batch, generator: torch.Generator
    ) -> dict[str, Tensor]:
        good = density(self._good(index, batch, generator))
        terms = {"nll": good.energy.mean()}
        negatives = self.data.negatives
        if negatives is None or not len(batch.negatives):
            return terms
        cells = negatives.cells[index][batch.negatives].to(self.device)
        if not cells.any():
            return terms
        anomalous = density(self._anomalous(index, negatives, batch, cells))
        if self.settings.classification.weight > 0:
            terms["classification"] = self._classification(density, good, anomalous, cells)
        if self.settings.contrast.compares_boxes:
            terms["contrast"] = self._box_contrast(good, anomalous, cells, negatives, batch)
        elif self.settings.contrast.weight > 0:
            terms["contrast"] = self._cell_contrast(index, density, good, anomalous, cells, batch)
        return terms

    def _good(self, index: int, batch: Batch, generator: torch.Generator) -> Tensor:
        features = self.data.good[index][batch.good]
        locations = self.settings.training.locations
        if locations is None:
            return self._float(features)
        flat = features.flatten(2)
        order = torch.rand((len(flat), flat.shape[2]), generator=generator).argsort(1)
        chosen = order[:, None, :locations].expand(-1, flat.shape[1], -1)
        return self._float(flat.gather(2, chosen)[..., None])

    def _anomalous(
        self, index: int, negatives: NegativeFeatures, batch: Batch, cells: Tensor
    ) -> Tensor:
        """Return whole maps, or the anomalous cells as one row for a pointwise flow."""
        features = negatives.levels[index][batch.negatives]
        if self._whole:
            return self._float(features)
        return self._row(features, cells)

    @property
    def _whole(self) -> bool:
        return self.settings.training.locations is None

    def _row(self, features: Tensor, cells: Tensor) -> Tensor:
        return self._float(_columns(features, cells.cpu()).T[None, :, :, None])

    def _classification(
        self, density: LevelDensity, good: Evidence, anomalous: Evidence, cells: Tensor
    ) -> Tensor:
        settings = self.settings.classification
        logit = density.logit(anomalous)
        logits = density.logit(good), logit[cells] if self._whole else logit
        if settings.loss == "hinge":
            return hinge(*logits)
        return smoothed_cross_entropy(*logits, settings.smoothing)

    def _cell_contrast(
        self,
        index: int,
        density: LevelDensity,
        good: Evidence,
        anomalous: Evidence,
        cells: Tensor,
        batch: Batch,
    ) -> Tensor:
        contrast = self.settings.contrast
        if contrast.form == "ranking":
            energy = anomalous.energy[cells] if self._whole else anomalous.energy.flatten()
            return ranking(self._twins(index, density, good, cells, batch), energy, contrast.margin)
        assert density.projection is not None
        every = torch.ones_like(anomalous.energy, dtype=torch.bool)
        found = _columns(anomalous.latent, cells if self._whole else every)
        # of drawn cells the pairs lie at two random places: each place is whitened by its own
        # statistics, so that good cells of all places are alike, and no second pass is needed
        projected = density.projection(good.latent.flatten(2).mT)
        images = batch.good.to(self.device)
        return projection_contrast(
            projected, density.projection(found), images, contrast.temperature
        )

    def _twins(
        self, index: int, density: LevelDensity, good: Evidence, cells: Tensor, batch: Batch
    ) -> Tensor:
        """Return the energies of the good images where their anomalies have anomalous cells."""
        if self._whole:
            return good.energy[batch.twins][cells]
        features = self.data.good[index][batch.good[batch.twins]]
        return density(self._row(features, cells)).energy.flatten()

    def _box_contrast(
        self,
        good: Evidence,
        anomalous: Evidence,
        cells: Tensor,
        negatives: NegativeFeatures,
        batch: Batch,
    ) -> Tensor:
        twins: list[Tensor] = []
        boxes: list[Tensor] = []
        for row, (index, twin) in enumerate(
            zip(batch.negatives.tolist(), batch.twins.tolist(), strict=True)
        ):
            twins += box_features(good.latent[twin], cells[row], negatives.boxes[index])
            boxes += box_features(anomalous.latent[row], cells[row], negatives.boxes[index])
        return cosine_contrast(good.latent, twins, boxes, self.settings.contrast)

    def _float(self, features: Tensor) -> Tensor:
        return features.to(self.device).float()


def _columns(maps: Tensor, cells: Tensor) -> Tensor:
    """Return the columns [M, C] of maps [N, C, H, W] at cells [N, H, W]."""
    return maps.permute(0, 2, 3, 1)[cells]
