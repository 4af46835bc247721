"""The whole way from pixels to score and map of each kind of detector, as one module to trace."""

from torch import Tensor, nn

from clflow.alignment.image_alignment import ImageAlignment
from clflow.detectors.flow.detector import FlowDetector
from clflow.detectors.gaussian.detector import FydDetector
from clflow.export.flows import EnergyGraph
from clflow.export.levels import Levels, on_one_grid, rounded_to_half
from clflow.export.maps import Drawn, Scored
from clflow.export.whitening import DistanceGraph, normalization_graph


def active_alignment(detector: FlowDetector | FydDetector) -> ImageAlignment | None:
    """Return what brings images into one pose, None where they stay as they are."""
    alignment = detector.alignment_
    return alignment if alignment is not None and alignment.active_ else None


class FlowGraph(nn.Module):
    """What `FlowDetector.score` computes of images that are in their pose already."""

    def __init__(self, detector: FlowDetector) -> None:
        super().__init__()
        settings = detector.settings
        self.grid, self.upsampling = settings.grid, settings.upsampling
        self.levels = Levels(detector.store)
        self.normalizations = nn.ModuleList(
            normalization_graph(fitted)  # type: ignore[arg-type]
            for fitted in detector.normalizations_
        )
        self.energies = nn.ModuleList(
            EnergyGraph(density, settings.score.kind)  # type: ignore[arg-type]
            for density in detector.densities_
        )
        sizes = [fitted.size for fitted in detector.normalizations_]
        self.drawn = Drawn(sizes, settings.image_size, settings.score.smoothing)  # type: ignore[arg-type]
        self.scored = Scored(settings.score.top_fraction, active_alignment(detector) is not None)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return scores [N] and maps [N, S, S] of uint8 pixels [N, H, W, 3]; see `Scored`."""
        levels = on_one_grid(self.levels(pixels), self.grid, self.upsampling)
        scores = [
            energy(normalization(level), level.shape[2:])
            for level, normalization, energy in zip(
                levels, self.normalizations, self.energies, strict=True
            )
        ]
        return self.scored(self.drawn(scores))


class GaussianGraph(nn.Module):
    """What `FydDetector.score` computes of images that are in their pose already.

    Where they are not turned, interpolation and smoothing are one matrix each for rows and
    columns; else both follow when the runtime has turned the distances back.
    """

    def __init__(self, detector: FydDetector) -> None:
        super().__init__()
        density = detector.density_
        assert density is not None
        settings, registered = detector.settings, active_alignment(detector) is not None
        self.levels = Levels(detector.store)
        self.grid = density.size[0]
        self.channels: Tensor
        self.register_buffer("channels", detector.channels_.clone())
        self.distances = DistanceGraph(density)
        side, sigma = settings.image_size, settings.score.smoothing
        self.drawn = nn.Identity() if registered else Drawn([density.size], side, sigma)
        self.scored = Scored(0.0, registered)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return scores [N] and maps [N, S, S] of uint8 pixels [N, S, S, 3]; see `Scored`."""
        (features,) = on_one_grid(self.levels(pixels), self.grid)
        kept = rounded_to_half(features.index_select(1, self.channels))
        distances = self.distances(kept)
        return self.scored(self.drawn(distances if self.scored.registered else [distances]))
