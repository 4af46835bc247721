"""Image-level coarse alignment: one spatial transformer on the image, trained on pairs."""

from pathlib import Path

import torch
from torch import Tensor, nn

from clflow.detectors.alignment.pairs import pairwise_distance
from clflow.detectors.alignment.sampling import sample
from clflow.detectors.alignment.settings import LearnedSettings
from clflow.detectors.alignment.transformer import Transformer
from clflow.detectors.alignment.warp import identity
from clflow.training.checkpoint import History
from clflow.training.loop import Terms, batch_rows, run_loop

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

        return run_loop(
            self,
            torch.optim.Adam(self.parameters(), lr=settings.learning_rate),
            objective,
            settings.epochs * (len(images) // size),
            "image alignment",
            _LOG_EVERY,
            _CHECKPOINT_EVERY,
            checkpoint,
        )
