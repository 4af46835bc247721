"""What held-out good images say of a score: false-alarm rates, thresholds, and drift."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clflow.decision.sealing import USUAL_RATES, described
from clflow.errors import DataError, SettingsError
from clflow.metrics.conformal import (
    Promise,
    check_rate,
    false_alarm_rates,
    images_needed,
    promise,
)

Decision = Literal["good", "review", "anomalous"]
Kind = Literal["split", "cross"]
KINDS: tuple[Kind, ...] = ("split", "cross")
DECISIONS: tuple[Decision, ...] = ("good", "review", "anomalous")

USUAL_RATE = USUAL_RATES["image"] or 0.05


@dataclass(frozen=True)
class Rates:
    """The false-alarm rates that are asked for.

    Attributes:
        image: of good images, how many may be called anomalous.
        review: of good images, how many may be called at least worth a look; None for no band
            between good and anomalous.
        region: of good images, how many may show any region; None for that of `image`.

    Raises:
        SettingsError: a rate is not between 0 and 1, or that of `review` is not the higher.
    """

    image: float = USUAL_RATE
    review: float | None = None
    region: float | None = None

    def __post_init__(self) -> None:
        for rate in (self.image, self.review, self.region):
            if rate is not None:
                check_rate(rate)
        if self.review is not None and self.review <= self.image:
            raise SettingsError(
                f"review rate {self.review} must be higher than the false-alarm rate {self.image}: "
                "what is worth a look are more images than those that are anomalous"
            )


@dataclass(frozen=True, eq=False)
class Calibration:
    """Thresholds from good images alone: those of them that no detector was trained on.

    Attributes:
        scores: raw score of each held-out good image, ascending [n].
        peaks: highest pixel of each one's anomaly map at the image's own size, ascending [n].
        rates: what is asked for.
        reference: the scores of the training day, ascending; the same unless set anew.
        floor: the median of the lowest pixels of their maps: black in pictures.
        synthetic: scores of synthetic anomalies made of the images of the training day that were
            held out, ascending; empty where there are none.
        kind: "split" for images that were held out, "cross" for those that were learned from, each
            scored by a detector that did not learn from it.
    """

    scores: NDArray[np.float64]
    peaks: NDArray[np.float64]
    rates: Rates = Rates()
    reference: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    floor: float = 0.0
    synthetic: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    kind: Kind = "split"

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        peaks: ArrayLike,
        rates: Rates | None = None,
        reference: ArrayLike | None = None,
        *,
        floor: float = 0.0,
        synthetic: ArrayLike = (),
        kind: Kind = "split",
    ) -> Self:
        """Return the calibration of good images by their scores [n] and maps' peaks [n].

        Raises:
            DataError: there is no score, or one that is not finite.
        """
        found, highest = (np.sort(np.asarray(each, np.float64)) for each in (scores, peaks))
        if not len(found) or len(found) != len(highest):
            raise DataError(
                f"{len(found)} scores and {len(highest)} maps of good images: a threshold needs at "
                "least one, and a map of each"
            )
        if not (np.isfinite(found).all() and np.isfinite(highest).all()):
            raise DataError("scores of held-out good images are NaN or infinite: train again")
        first = found if reference is None else np.sort(np.asarray(reference, np.float64))
        made = np.sort(np.asarray(synthetic, np.float64))
        return cls(found, highest, rates or Rates(), first, floor, made, kind)

    @property
    def set_anew(self) -> bool:
        """Whether the thresholds come from other images than those of the training day."""
        return not np.array_equal(self.scores, self.reference)

    @property
    def image(self) -> Promise:
        """The threshold of images, and what it promises."""
        return promise(self.scores, self.rates.image)

    @property
    def review(self) -> Promise | None:
        """The threshold above which an image is worth a look, None without a review band."""
        return None if self.rates.review is None else promise(self.scores, self.rates.review)

    @property
    def pixel(self) -> Promise:
        """The threshold of pixels: the rate is that of good images with any region."""
        rate = self.rates.image if self.rates.region is None else self.rates.region
        return promise(self.peaks, rate)

    def false_alarm_rates(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the share of good images that score as high as each of the scores [N]."""
        return false_alarm_rates(scores, self.scores)

    @property
    def synthetic_auroc(self) -> float | None:
        """Image AUROC of synthetic anomalies against the good images they were made of."""
        # a second to import, and a decision does not need it
        from clflow.metrics.image import image_metrics

        if not len(self.synthetic):
            return None
        labels = [0] * len(self.reference) + [1] * len(self.synthetic)
        return image_metrics(labels, [*self.reference, *self.synthetic])["image_auroc"]

    def decide(self, score: float) -> Decision:
        """Return the decision on an image by its raw score."""
        if score > self.image.threshold:
            return "anomalous"
        band = self.review
        return "review" if band is not None and score > band.threshold else "good"

    def remarks(self) -> tuple[str, ...]:
        """Return what a user must know of promises that the images at hand cannot keep."""
        named = (
            ("false-alarm rate", self.image),
            ("review rate", self.review),
            ("rate of images with regions", self.pixel),
        )
        return tuple(_remark(name, each) for name, each in named if each and not each.kept)

    def as_dict(self) -> dict[str, Any]:
        """Return the raw scores and the rates for JSON; thresholds follow from them."""
        return described(
            self.scores,
            self.peaks,
            self.floor,
            self.synthetic,
            asdict(self.rates),
            self.reference,
            self.kind,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `as_dict` returned.

        Raises:
            DataError, KeyError, TypeError, ValueError: it is something else.
        """
        return cls.of(
            values["scores"],
            values["peaks"],
            Rates(**values["rates"]),
            values["reference"],
            floor=float(values["floor"]),
            synthetic=values["synthetic"],
            kind=KINDS[KINDS.index(values["kind"])],
        )


def _remark(name: str, found: Promise) -> str:
    return (
        f"{name} {found.asked:g} cannot be promised by {found.images} held-out good image(s): the "
        f"least is {found.rate:.3g}, which is used; {images_needed(found.asked)} are needed"
    )


@dataclass(frozen=True)
class Shift:
    """How the scores of good images moved since the training day.

    Attributes:
        distance: the largest gap between the two distributions, 0 to 1 (Kolmogorov-Smirnov).
        p_value: how likely a gap as large is where nothing moved.
        before, after: the median score then and now.
    """

    distance: float
    p_value: float
    before: float
    after: float

    @property
    def significant(self) -> bool:
        """Whether chance does not explain it, at the level of one in a hundred."""
        return self.p_value < 0.01


def shift_of(calibration: Calibration) -> Shift:
    """Return the shift of a calibration's scores against those of the training day."""
    # scipy is needed where thresholds are set, not where they are used
    from scipy.stats import ks_2samp

    found = ks_2samp(calibration.reference, calibration.scores)
    return Shift(
        distance=float(found.statistic),
        p_value=float(found.pvalue),
        before=float(np.median(calibration.reference)),
        after=float(np.median(calibration.scores)),
    )
