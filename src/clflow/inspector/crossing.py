"""Thresholds without giving up images: each is scored by a detector that did not learn from it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clflow.data.images import ImageSource
from clflow.data.preparation import PrepareSettings
from clflow.data.region_of_interest import RegionOfInterest
from clflow.detectors.protocol import CrossFitted
from clflow.errors import SettingsError
from clflow.files import digest_of
from clflow.inspector.fitting import FOLDS, Split, some_of
from clflow.inspector.scoring import Scored, rows_of, score_all, summarized
from clflow.progress import say

if TYPE_CHECKING:
    from clflow.detectors.protocol import Detector

# fits a detector of the same settings and seed on the training part of a split
Refit = Callable[[Split], "Detector"]


@dataclass(frozen=True, eq=False)
class CrossFolds:
    """Good images that were all learned from.

    A Gaussian is fitted again for each of ten folds, which takes about as long as fitting it once.
    Any other detector is trained five times more, without a fifth of the images each: a flow knows
    the images it was trained on, whatever statistics it is given (docs/coverage.md).

    Attributes:
        images: as a detector sees them.
        region: what of an image counts.
        category: its name, of which the folds depend.
    """

    images: ImageSource
    region: RegionOfInterest | None
    category: str

    def scores(
        self, detector: "Detector", rates: Mapping[str, float | None], refit: Refit
    ) -> dict[str, Any] | None:
        """Return the content of calibration.json, None where a score is not finite.

        Args:
            detector: fitted on all of the images.
            rates: the false-alarm rates that are asked for.
            refit: see above.

        Raises:
            TrainingError: a training diverged.
        """
        scored = self._by_statistics(detector) or self._by_training(refit)
        return summarized(rows_of(scored, self.region), [], rates, "cross")

    def _by_statistics(self, detector: "Detector") -> Iterator[Scored] | None:
        """Return the images scored by statistics of the others, None where that cannot be."""
        if not isinstance(detector, CrossFitted):
            return None
        try:
            found = detector.cross_fitted(self.images)
        except SettingsError as error:
            say(f"cross-calibration by training: {error}")
            return None
        pairs = enumerate(zip(found.image_scores, found.anomaly_maps, strict=True))
        return ((self.images[place], float(score), own) for place, (score, own) in pairs)

    def _by_training(self, refit: Refit) -> Iterator[Scored]:
        for place, fold in enumerate(self._folds(), start=1):
            say(f"cross-calibration: fold {place} of {FOLDS}")
            yield from score_all(refit(fold), fold.held_out)

    def _folds(self) -> Iterator[Split]:
        """Yield the images split in turn, drawn by content: copies of an image share a fold."""
        seed, digests = PrepareSettings().seed, self.images.digests

        def rank(content: str) -> str:
            return digest_of([seed, self.category, content])

        fold_of = {own: place % FOLDS for place, own in enumerate(sorted(set(digests), key=rank))}
        for fold in range(FOLDS):
            inside = [place for place, own in enumerate(digests) if fold_of[own] == fold]
            others = [place for place, own in enumerate(digests) if fold_of[own] != fold]
            yield Split(some_of(self.images, others), some_of(self.images, inside))
