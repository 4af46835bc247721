"""The front door: a detector that is fitted on images, saved, loaded, and asked about new ones."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from clflow.data.given import Image, good_images, is_single
from clflow.data.images import ArrayImages, ImageSource
from clflow.data.reading import parse_reading
from clflow.data.region_of_interest import RegionOfInterest
from clflow.decision.calibration import USUAL_RATE, Calibration, Kind, Rates
from clflow.decision.card import write_card
from clflow.decision.predicting import Predicting, Raw
from clflow.decision.sealing import CARD, PROBES, SHIFT, seal
from clflow.detectors.protocol import Workspace
from clflow.detectors.registry import Method, find_method
from clflow.device import exact_repeats
from clflow.errors import NotFittedError, SettingsError
from clflow.files import atomic_folder, write_text
from clflow.inspector.crossing import CrossFolds
from clflow.inspector.fitting import (
    Split,
    divided,
    find_reading,
    names_of,
    training_material,
    without,
)
from clflow.inspector.loading import check_free, read_fitted
from clflow.inspector.packaging import Fitted, write_files
from clflow.inspector.probes import Probes, choose_probes, read_probes, write_probes
from clflow.inspector.scoring import held_out_scores, noted
from clflow.inspector.shift import draw_shift
from clflow.progress import say, silent
from clflow.settings import list_problems, problems_of
from clflow.synthesis.fresh import FreshAnomalies, Named

if TYPE_CHECKING:
    import torch
    from pydantic import BaseModel

    from clflow.detectors.protocol import Detector as Protocol


class Detector(Predicting):
    """An anomaly detector that learns from good images.

    Args:
        method: one of those in `clflow.detectors.registry.METHODS`.
        settings: what differs from the method's defaults, section by section.
        seed: all randomness of `fit` follows from it.
        device: such as "cpu" or "cuda"; None for CUDA where there is one, else the CPU.

    Attributes:
        calibration_: thresholds from good images that were held out, None without any.
        region_: what of an image counts, None for all.
        package_: the digest of the package that it was loaded from, None for none.
        detector_: what was fitted, as the method has it.
        probes_: some held-out images and anomalies made of them, at the detector's input size:
            an export is compared by them.
        history_: loss and its terms at the logged steps of training; empty where nothing is
            trained by steps, and for a loaded detector.

    Raises:
        SettingsError: the method is unknown, or a setting is; all problems at once.

    >>> detector = Detector("fastflow", settings={"training": {"steps": 50}}, seed=1)
    >>> detector
    Detector(method='fastflow', settings={'training': {'steps': 50}}, seed=1, device=None)
    >>> detector.predict("part.png")
    Traceback (most recent call last):
    ...
    clflow.errors.NotFittedError: this Detector is not fitted yet: fit it, or load a saved one
    """

    probes_: Probes
    detector_: "Protocol"
    history_: list[dict[str, float]]

    def __init__(
        self,
        method: str = "clflow",
        settings: Mapping[str, Any] | None = None,
        seed: int = 0,
        device: "str | torch.device | None" = None,
    ) -> None:
        self.method = method
        self.settings = settings
        self.seed = seed
        self.device = device
        _complete(find_method(method), settings)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise SettingsError(f"seed is {seed!r}: it must be a whole number, 0 or more")

    def __repr__(self) -> str:
        values = (f"{name}={getattr(self, name)!r}" for name in _PARAMETERS)
        return f"Detector({', '.join(values)})"

    def fit(
        self,
        images: str | os.PathLike[str] | Iterable[Image],
        *,
        false_alarm_rate: float = USUAL_RATE,
        review_rate: float | None = None,
        ignore: str | os.PathLike[str] | NDArray[Any] | None = None,
        border: int = 0,
        dataset: str | None = None,
        category: str | None = None,
        calibration: Kind = "split",
    ) -> Self:
        """Learn from good images; a tenth of them, at least eight, is held out for thresholds.

        Args:
            images: a folder, of which `good/`, `train/good/` or else the folder itself is taken;
                or a list of paths, or of arrays [H, W] or [H, W, 3], uint8 or uint16.
            false_alarm_rate: of good images, how many may be called anomalous. Where those held
                out are too few to promise it, the least that they can is used, and said.
            review_rate: of good images, how many may be called at least worth a look; None for
                no band between good and anomalous.
            ignore: a mask, of which pixels that are not zero do not count, now and ever after.
            border: how many pixels from the edges of an image do not count either.
            dataset: with `category` a name of which synthetic anomalies depend, as in a study; that
                of the folder unless given.
            category: see `dataset`.
            calibration: "split" holds images out; "cross" learns from all, and scores each by a
                detector that did not learn from it: as many thresholds' scores as images, for
                five more trainings, or hardly any time where a method has only statistics.

        Raises:
            DataError: there are too few images, one cannot be read, or synthetic anomalies find no
                place in them.
            SettingsError: a rate, a mask or the device is not usable, or a package or weights that
                the method needs are missing.
            TrainingError: the training diverged.
        """
        given = images if is_single(images) else list(cast(Iterable[Any], images))
        region = RegionOfInterest.read(ignore, border)
        reading = find_reading(given, region)
        good = without(good_images(given, reading), ignore)
        names = names_of(given, dataset, category)
        rates = asdict(Rates(image=false_alarm_rate, review=review_rate))
        chosen = _complete(find_method(self.method), self.settings)
        split = divided(good, names.category, calibration, region)
        with exact_repeats(), self._trained(split, chosen, names) as (detector, material):
            if calibration == "split":
                scores = held_out_scores(detector, split.held_out, region, material.held_out, rates)
            else:
                folds = CrossFolds(split.train, region, names.category)
                scores = folds.scores(
                    detector, rates, lambda part: self._refitted(part, chosen, names)
                )
            origin = noted(
                names.dataset, names.category, split.train, split.held_out, material.shapes, reading
            )
            self.probes_ = choose_probes(*_probed(split, material), chosen)
        found = None if scores is None else Calibration.from_dict(scores)
        _tell(found)
        self._take(detector, origin, found, region)
        return self

    @contextmanager
    def _trained(
        self, split: Split, settings: "BaseModel", names: Named
    ) -> Iterator[tuple["Protocol", FreshAnomalies]]:
        """Yield a detector fitted on the training part, and what it was made from."""
        import torch

        detector = find_method(self.method).detector_class()(
            settings, method=self.method, device=self.device
        )
        generator = torch.Generator().manual_seed(int(self.seed))
        with training_material(detector, split, settings, names) as material:
            detector.fit(material.data, generator, Workspace(processes=_processes()))
            yield detector, material

    def _refitted(self, split: Split, settings: "BaseModel", names: Named) -> "Protocol":
        with self._trained(split, settings, names) as (detector, _):
            return detector

    def calibrate(
        self,
        images: str | os.PathLike[str] | Iterable[Image],
        *,
        false_alarm_rate: float | None = None,
        review_rate: float | None = None,
        region_rate: float | None = None,
    ) -> Self:
        """Set thresholds anew from good images of the line, without training.

        The scores of the training day stay beside them, so that a shift can be seen.

        Args:
            images: good images that the detector was not fitted on, as `fit` takes them.
            false_alarm_rate: as for `fit`; None for the rate that is in force.
            review_rate: as for `fit`; None for the rate that is in force, if any.
            region_rate: of good images, how many may show any region; None for the rate in force.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: an image cannot be read.
            SettingsError: a rate is not usable.
        """
        self._check_fitted()
        before = self.calibration_
        old = Rates() if before is None else before.rates
        rates = Rates(
            image=old.image if false_alarm_rate is None else false_alarm_rate,
            review=old.review if review_rate is None else review_rate,
            region=old.region if region_rate is None else region_rate,
        )
        with exact_repeats():
            good = good_images(images, self.reading_)
            found = held_out_scores(self.detector_, good, self.region_)
        assert found is not None  # there are good images
        self.calibration_ = Calibration.of(
            found["scores"],
            found["peaks"],
            rates,
            None if before is None else before.reference,
            floor=found["floor"],
            synthetic=() if before is None else before.synthetic,
        )
        self.package_ = None
        _tell(self.calibration_)
        return self

    def save(self, folder: str | os.PathLike[str], *, backbone: bool = True) -> None:
        """Write a package into a folder, whole or not: safetensors and JSON, no pickle.

        Args:
            folder: a new one, or that of another package, which is replaced.
            backbone: whether the weights of the frozen backbone are written too. Without them a
                package is small, and is loaded only where the same weights can be had.

        Raises:
            NotFittedError: the detector was neither fitted nor loaded.
            DataError: the folder holds something else than a package.
            StorageError: it cannot be written.
        """
        self._check_fitted()
        path = Path(folder)
        check_free(path)
        with atomic_folder(path) as partial:
            contents = write_files(partial, self._fitted(), backbone=backbone)
            if self.probes_:
                write_probes(partial / PROBES, self.probes_)
            write_text(partial / CARD, write_card(contents, self.calibration_))
            if self.calibration_ is not None and self.calibration_.set_anew:
                draw_shift(self.calibration_, partial / SHIFT)
            seal(partial, contents)

    def _raw(self, images: Sequence[NDArray[np.uint8]]) -> Raw:
        with exact_repeats(), silent():
            found = self.detector_.score(ArrayImages(images))
        return found.image_scores, found.anomaly_maps

    @property
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        return tuple((width, height) for width, height, _ in self._origin["data"]["sizes"])

    def _fitted(self) -> Fitted:
        return Fitted(
            detector=self.detector_,
            method=self.method,
            seed=int(self.seed),
            settings=_complete(find_method(self.method), self.settings).model_dump(mode="json"),
            origin=self._origin,
            calibration=None if self.calibration_ is None else self.calibration_.as_dict(),
            region=self.region_,
        )

    def _take(
        self,
        detector: "Protocol",
        origin: Mapping[str, Any],
        calibration: Calibration | None,
        region: RegionOfInterest | None,
        package: str | None = None,
    ) -> None:
        self.detector_, self._origin = detector, origin
        self.calibration_, self.region_, self.package_ = calibration, region, package
        self.reading_ = parse_reading(origin["data"]["reading"])
        self.history_ = detector.history_

    def _check_fitted(self) -> None:
        if not hasattr(self, "detector_"):
            raise NotFittedError("this Detector is not fitted yet: fit it, or load a saved one")


_PARAMETERS = ("method", "settings", "seed", "device")


def fit(
    images: str | os.PathLike[str] | Iterable[Image],
    *,
    method: str = "clflow",
    seed: int = 0,
    device: "str | torch.device | None" = None,
    false_alarm_rate: float = USUAL_RATE,
    review_rate: float | None = None,
    ignore: str | os.PathLike[str] | NDArray[Any] | None = None,
    border: int = 0,
    calibration: Kind = "split",
    **settings: Any,
) -> Detector:
    """Return a detector fitted on good images; see `Detector` and `Detector.fit`.

    `settings` are sections of the method's, such as `training={"steps": 50}`.
    """
    return Detector(method, settings or None, seed, device).fit(
        images,
        false_alarm_rate=false_alarm_rate,
        review_rate=review_rate,
        ignore=ignore,
        border=border,
        calibration=calibration,
    )


def load(folder: str | os.PathLike[str], *, device: "str | torch.device | None" = None) -> Detector:
    """Return a saved detector: of `Detector.save`, or a model that a study trained.

    Every file is checked against its hash, and nothing of the package is executed.

    Raises:
        DataError: the folder holds no package, a training that failed, or one that is damaged or
            of another version.
        SettingsError: the device is not usable, a package that the method needs is missing, or the
            weights of the backbone are not those it was trained with.
    """
    with exact_repeats():
        fitted, package = read_fitted(Path(folder), device)
    detector = Detector(fitted.method, fitted.settings, fitted.seed, device)
    probes = package.folder / PROBES
    detector.probes_ = read_probes(probes) if PROBES in package.contents["files"] else ()
    detector._take(
        fitted.detector, fitted.origin, package.calibration, package.region, package.digest
    )
    return detector


def _probed(split: Split, material: FreshAnomalies) -> tuple[ImageSource, ImageSource]:
    """Return good images and anomalies that an export is compared by: held-out ones if any."""
    if len(split.held_out):
        return split.held_out, material.held_out
    anomalies = material.data.anomalies
    return split.train, ArrayImages(()) if anomalies is None else anomalies.images


def _tell(calibration: Calibration | None) -> None:
    """Say what thresholds cannot promise."""
    if calibration is None:
        say("no good image was held out, there are too few: no threshold, no decision")
        return
    for remark in calibration.remarks():
        say(remark)


def _complete(method: Method, values: Mapping[str, Any] | None) -> "BaseModel":
    if values is not None and not isinstance(values, Mapping):
        raise SettingsError(
            f"settings are {values!r}: give a mapping of sections, or None for the defaults of "
            f"{method.name}"
        )
    complete = method.complete(values or {})
    if problems := problems_of(method.settings_model, complete, "settings"):
        raise SettingsError(list_problems(problems, f"Detector({method.name!r})"))
    return method.settings_model.model_validate(complete)


def _processes() -> int | None:
    """Return none but this one, unless CLFLOW_WORKERS is set.

    A fresh process runs the script of its parent again, which a library must not demand of it.
    """
    return None if os.environ.get("CLFLOW_WORKERS") else 0
