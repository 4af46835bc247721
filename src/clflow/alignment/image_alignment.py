"""Images brought into one pose: by registration, by a learned transformer, or by both in turn."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clflow.alignment.learned import LearnedAlignment, pairwise_distance
from clflow.alignment.registration import Registration, disc
from clflow.alignment.settings import ImageAlignmentSettings
from clflow.alignment.warp import chain, identity, warp_images
from clflow.progress import say
from clflow.training.checkpoint import History
from clflow.training.loop import stream

_CHUNK = 32
# every fifth good image is held out: the template and the transformer are made from the others
_HELD_OUT = 5
# images are compared this many times smaller
_SHRINK = 4
_MOST_COMPARED = 64


class ImageAlignment(nn.Module):
    """Finds the map theta of each image, and whether a category gains from being aligned.

    Attributes:
        gain_: by which share the pairwise distance of held-out good images fell.
        active_: whether images are aligned at all.
        history_: the learned transformer's history, empty without one.
    """

    def __init__(self, settings: ImageAlignmentSettings, seed: int = 0) -> None:
        super().__init__()
        self.settings = settings
        self.seed = seed
        steps: list[Registration | LearnedAlignment] = []
        if settings.kind in ("registration", "both"):
            steps.append(Registration(settings.registration))
        if settings.kind in ("learned", "both"):
            steps.append(LearnedAlignment(settings.learned, stream(seed, 1)))
        self.steps = nn.ModuleList(steps)
        self.gain_ = 0.0
        self.active_ = True
        self.history_: History = []

    def fit(self, pixels: Tensor, checkpoint: Path | None = None) -> "ImageAlignment":
        """Learn from good images, uint8 [N, 3, S, S], and decide.

        Raises:
            TrainingError: training the transformer diverged.
        """
        held_out = torch.arange(len(pixels)) % _HELD_OUT == 0
        self._learn(pixels[~held_out] if len(pixels) > 1 else pixels, checkpoint)
        self._decide(pixels[held_out][:_MOST_COMPARED])
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] of uint8 images [N, 3, S, S]; identities where off."""
        return self.proposed(pixels) if self.active_ else identity(len(pixels))

    def proposed(self, pixels: Tensor) -> Tensor:
        """Return the maps theta [N, 2, 3] whatever was decided."""
        return self._through(pixels, len(self.steps))

    def warped(self, pixels: Tensor, theta: Tensor) -> Tensor:
        """Return uint8 images [N, 3, S, S] seen through theta [N, 2, 3]."""
        return warp_images(pixels, theta, self.settings.padding)

    def _learn(self, pixels: Tensor, checkpoint: Path | None) -> None:
        for index, step in enumerate(self._steps()):
            seen = self.warped(pixels, self._through(pixels, index)) if index else pixels
            images = _shown(step, seen)
            if isinstance(step, Registration):
                step.fit(images)
            else:
                self.history_ = step.fit(images, self.seed, checkpoint)

    def _steps(self) -> list[Registration | LearnedAlignment]:
        return list(self.steps)  # type: ignore[arg-type]

    @torch.no_grad()
    def _through(self, pixels: Tensor, count: int) -> Tensor:
        """Return the maps of the first `count` steps."""
        theta = identity(len(pixels))
        for index, step in enumerate(self._steps()[:count]):
            seen = self.warped(pixels, theta) if index else pixels
            found = [step(_shown(step, part)) for part in seen.split(_CHUNK)]
            theta = chain(theta, torch.cat(found))
        return theta

    def _decide(self, pixels: Tensor) -> None:
        if len(pixels) < 2:
            self.active_ = not self.settings.decide
            return
        before, after = self.distances(pixels)
        self.gain_ = 1 - after / before if before > 0 else 0.0
        self.active_ = not self.settings.decide or self.gain_ >= self.settings.minimum_gain
        verdict = "on" if self.active_ else "off"
        rule = f"needs {self.settings.minimum_gain:.0%}" if self.settings.decide else "kept anyway"
        say(
            f"image alignment ({self.settings.kind}) {verdict}: distance between held-out good "
            f"images {before:.4f} before, {after:.4f} after ({-self.gain_:+.1%}, {rule})"
        )

    def distances(self, pixels: Tensor) -> tuple[float, float]:
        """Return the pairwise distance of images before and after, inside the disc.

        Images are averaged over areas first: the blur of warping is not mistaken for likeness.
        """
        aligned = self.warped(pixels, self.proposed(pixels))
        size = pixels.shape[-1] // _SHRINK
        window = disc(size)
        before, after = (
            pairwise_distance(shrunk(images, size), window).item() for images in (pixels, aligned)
        )
        return before, after


def _shown(step: Registration | LearnedAlignment, pixels: Tensor) -> Tensor:
    """Return uint8 images as a step looks at them: a registration looks at grey ones."""
    if isinstance(step, Registration):
        red, green, blue = pixels.float().split(1, dim=1)
        pixels = (red + green + blue) / 3
    return shrunk(pixels, step.size)


def shrunk(pixels: Tensor, size: int) -> Tensor:
    """Return images of 0 to 255 averaged over areas to another size, 0 to 1 [N, C, size, size]."""
    return interpolate(pixels.float() / 255, size=(size, size), mode="area")
