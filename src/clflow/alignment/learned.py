"""Image-level coarse alignment: one spatial transformer on the image, trained on pairs."""

import math
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from clflow.alignment.settings import LearnedSettings, TransformerSettings
from clflow.alignment.warp import identity, sample, similarity
from clflow.training.checkpoint import History
from clflow.training.loop import Course, Terms, batch_rows, run_loop


def pairwise_distance(images: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over pairs and pixels of the Euclidean distance of colours.

    FYD (arXiv 2110.04538), the loss of image-level coarse alignment, as a mean instead of a sum.

    Args:
        images: [N, C, H, W], at least two.
        weights: of the pixels [H, W], or None for equal ones.
    """
    count = len(images)
    totals = [
        _distances(images[index], images[index + 1 :], weights).sum() for index in range(count - 1)
    ]
    return torch.stack(totals).sum() / (count * (count - 1) / 2)


def _distances(image: Tensor, others: Tensor, weights: Tensor | None) -> Tensor:
    # the root has no gradient at zero
    distance = ((others - image).square().sum(1) + 1e-12).sqrt()
    if weights is None:
        return distance.mean((1, 2))
    return (distance * weights).sum((1, 2)) / weights.sum()


_WIDTH = 32
_GROUPS = 4
_GRID = 4


class Transformer(nn.Module):
    """Predicts theta [N, 2, 3] from maps [N, C, S, S]: turn, shift and scale, each within bounds.

    The last layer starts at zero, which is the identity (RegAD, ECCV 2022). Strided convolutions
    and group normalisation stand for pooling and batch normalisation: their gradients repeat
    exactly, and a prediction does not depend on the batch.
    """

    def __init__(
        self, channels: int, size: int, settings: TransformerSettings, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.settings = settings
        halvings = max(1, round(math.log2(size / _GRID)))
        widths = [channels] + [_WIDTH] * halvings
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1)
            layers += [convolution, nn.GroupNorm(_GROUPS, after), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(_WIDTH * _side(size, halvings) ** 2, 5)
        draw_weights(self.features, generator)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Return theta [N, 2, 3]."""
        bounds = self.settings
        raw = self.head(self.features(maps)).tanh()
        angle = raw[:, 0] * math.radians(bounds.angle)
        scale = torch.exp(raw[:, 3:5] * math.log(bounds.scale))
        if bounds.axes == "one":
            scale = scale[:, :1].expand(-1, 2)
        # half sides: the whole side is two of them
        return similarity(angle, scale, raw[:, 1:3] * 2 * bounds.shift)


def _side(size: int, halvings: int) -> int:
    for _ in range(halvings):
        size = (size + 1) // 2
    return size


def draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of convolutions from `generator` alone; biases are zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


_LOG_EVERY = 10
_CHECKPOINT_EVERY = 50


class LearnedAlignment(nn.Module):
    """A transformer of images: FYD's ICA."""

    def __init__(self, settings: LearnedSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.settings = settings
        self.size = settings.size
        self.transformer = Transformer(3, settings.size, settings.transformer, generator)

    def forward(self, images: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] of images [N, 3, size, size], 0 to 1."""
        return self.transformer(2 * images - 1)

    def loss(self, images: Tensor) -> tuple[Tensor, Terms]:
        """Return the loss of a batch [N, 3, size, size] and its terms.

        The pairwise distance alone has a trivial optimum, all images zoomed to a flat place: the
        bounds of the transformer and the pull to the identity stand against it.
        """
        theta = self(images)
        distance = pairwise_distance(sample(images, theta, self.size))
        moved = (theta - identity(len(theta)).to(theta)).square().sum((1, 2)).mean()
        loss = distance + self.settings.pull * moved
        terms = {"image_loss": loss, "image_distance": distance, "image_moved": moved}
        return loss, {name: value.item() for name, value in terms.items()}

    def fit(self, images: Tensor, seed: int, checkpoint: Path | None) -> History:
        """Train on good images [N, 3, size, size], 0 to 1; return the history.

        Raises:
            TrainingError: the run diverged.
        """
        settings = self.settings
        size = min(settings.batch_size, len(images))

        def objective(step: int) -> tuple[Tensor, Terms]:
            return self.loss(images[batch_rows(len(images), size, seed, step)])

        course = Course(
            steps=settings.epochs * (len(images) // size),
            label="image alignment",
            log_every=_LOG_EVERY,
            checkpoint_every=_CHECKPOINT_EVERY,
            checkpoint=checkpoint,
        )
        optimizer = torch.optim.Adam(self.parameters(), lr=settings.learning_rate)
        return run_loop(self, optimizer, objective, course)
