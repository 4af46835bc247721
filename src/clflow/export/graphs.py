"""The whole way from pixels to score and map of each kind of detector, as one module to trace."""

import torch
from torch import Tensor, nn

from clflow.detectors.flow.detector import FlowDetector
from clflow.export.flows import EnergyGraph
from clflow.export.levels import Levels, on_one_grid
from clflow.export.maps import Drawn, with_scores
from clflow.export.whitening import NormalizationGraph


class FlowGraph(nn.Module):
    """What `FlowDetector.score` computes of images that are in their pose already."""

    def __init__(self, detector: FlowDetector) -> None:
        super().__init__()
        settings = detector.settings
        self.grid, self.upsampling = settings.grid, settings.upsampling
        self.top_fraction = settings.score.top_fraction
        self.levels = Levels(detector.store)
        self.normalizations = nn.ModuleList(
            NormalizationGraph(fitted)  # type: ignore[arg-type]
            for fitted in detector.normalizations_
        )
        self.energies = nn.ModuleList(
            EnergyGraph(density, settings.score.kind)  # type: ignore[arg-type]
            for density in detector.densities_
        )
        sizes = [fitted.size for fitted in detector.normalizations_]
        self.drawn = Drawn(sizes, settings.image_size, settings.score.smoothing)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores [N] and maps [N, S, S] of uint8 pixels [N, H, W, 3]."""
        levels = on_one_grid(self.levels(pixels), self.grid, self.upsampling)
        scores = [
            energy(normalization(level))
            for level, normalization, energy in zip(
                levels, self.normalizations, self.energies, strict=True
            )
        ]
        return with_scores(self.drawn(scores), self.top_fraction)
