"""From scores of cells to anomaly maps and image scores, as products with constant matrices."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from clflow.detectors.scoring import drawing_operator, image_scores


class Drawn(nn.Module):
    """The mean over levels of the scores, interpolated and smoothed [N, S, S]."""

    def __init__(self, sizes: Sequence[tuple[int, int]], side: int, sigma: float) -> None:
        super().__init__()
        for index, (height, width) in enumerate(sizes):
            self.register_buffer(f"rows_{index}", drawing_operator(height, side, sigma).clone())
            columns = drawing_operator(width, side, sigma).T / len(sizes)
            self.register_buffer(f"columns_{index}", columns.contiguous())

    def forward(self, scores: Sequence[Tensor]) -> Tensor:
        """Return the maps of scores [N, H, W] of each level."""
        maps = [
            getattr(self, f"rows_{index}") @ score @ getattr(self, f"columns_{index}")
            for index, score in enumerate(scores)
        ]
        return torch.stack(maps).sum(0) if len(maps) > 1 else maps[0]


class Scored(nn.Module):
    """What a graph gives: scores [N] and maps [N, S, S], or the maps of images that were turned.

    Those are turned back, and scored, by the runtime: the engines take far longer for it.
    """

    def __init__(self, top_fraction: float, registered: bool) -> None:
        super().__init__()
        self.top_fraction = top_fraction
        self.registered = registered

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return what is asked for of maps [N, S, S]."""
        return (maps,) if self.registered else (image_scores(maps, self.top_fraction), maps)
