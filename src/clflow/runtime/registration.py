"""Rigid registration of images with numpy and OpenCV: the poses that `clflow.alignment` finds."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from clflow.runtime.sampling import centres, sampled

Floats = NDArray[np.float32]

# as in clflow.alignment.registration
_CANDIDATES = 3
_MIDDLE_STEPS, _FINE_STEPS = 4, 3


@dataclass(frozen=True, eq=False)
class Search:
    """A template in evenly spaced turns; see `clflow.export.registration` for the constants.

    Attributes:
        window: what images are seen through [S, S].
        angles: in radians [K].
        forth, moved, back: constant matrices.
    """

    window: Floats
    angles: Floats
    forth: Floats
    moved: Floats
    back: Floats

    def candidates(self, images: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the turns that fit windowed images [N, S, S] better than their neighbours.

        Returns:
            Three poses of each [N, 3, 3], and which of them there are [N, 3]: of fewer such turns
            others follow.
        """
        correlation, shifts = self._correlated(images)
        higher = np.maximum(np.roll(correlation, 1, 1), np.roll(correlation, -1, 1))
        peaks = np.where(correlation < higher, -np.inf, correlation)
        turns = np.argsort(-peaks, axis=1, kind="stable")[:, :_CANDIDATES]
        rows = np.arange(len(images))[:, None]
        poses = np.concatenate([self.angles[turns][..., None], shifts[rows, turns]], 2)
        return poses, np.isfinite(peaks[rows, turns])

    def _correlated(self, images: Floats) -> tuple[Floats, Floats]:
        """Return the best correlation over shifts [N, K] and that shift in half sides [N, K, 2]."""
        count, size, reach = len(images), len(self.window), self.back.shape[1]
        # real parts of all images, then imaginary parts [Q, 2 N, S]
        spectra = (images @ self.forth).reshape(count, size, 2, -1)
        stacked = spectra.transpose(3, 2, 0, 1).reshape(-1, 2 * count, size)
        products = (stacked @ self.moved).reshape(len(stacked), 2, count, 2, -1)
        parts = products.transpose(2, 4, 1, 3, 0).reshape(-1, len(self.back))
        surfaces = np.matmul(parts, self.back, dtype=np.float32)
        best, place = _peaks(surfaces.reshape(count, len(self.angles), reach, reach))
        return best, (place - np.float32(reach // 2)) * np.float32(2 / size)


def _peaks(surfaces: Floats) -> tuple[Floats, Floats]:
    """Return height and place (x, y) of the peaks inside surfaces [N, K, D, D], to sub-pixels."""
    size = surfaces.shape[-1]
    inside = surfaces[..., 1:-1, 1:-1].reshape(*surfaces.shape[:2], -1)
    index = inside.argmax(2)
    row, column = index // (size - 2) + 1, index % (size - 2) + 1
    flat = surfaces.reshape(*surfaces.shape[:2], -1)

    def at(down: int, across: int) -> Floats:
        found = ((row + down) * size + column + across)[..., None]
        return np.take_along_axis(flat, found, 2)[..., 0]

    best = at(0, 0)
    x = column + _vertex(at(0, -1), best, at(0, 1))
    y = row + _vertex(at(-1, 0), best, at(1, 0))
    return best, np.stack([x, y], -1).astype(np.float32)


def _vertex(left: Floats, middle: Floats, right: Floats) -> Floats:
    """Return where a parabola through three equidistant values peaks, from -0.5 to 0.5 steps."""
    curvature = left - 2 * middle + right
    bent = np.where(curvature < 0, curvature, np.float32(-np.inf))
    return np.clip(np.float32(0.5) * (left - right) / bent, -0.5, 0.5)


class Refinement:
    """Brings poses closer to a template by steps of a fixed descent.

    Args:
        window: what images are seen through [S, S].
        moments: of `clflow.alignment.registration.Refinement`, a row each [6, S * S].
        totals, offsets: its other constants.
    """

    def __init__(self, window: Floats, moments: Floats, totals: Floats, offsets: Floats) -> None:
        self.window = window
        self.moments = moments
        self.totals = totals
        self.offsets = offsets
        self._axis = centres(len(window))

    def __call__(self, images: list[Floats], poses: Floats, steps: int) -> tuple[Floats, Floats]:
        """Return the poses [M, 3] of images [S, S] brought closer, and their correlations [M]."""
        for _ in range(steps):
            compared = self._compared(images, poses)
            poses = _without(poses, compared[:, :3] - self.offsets)
        return poses, compared[:, 3]

    def _compared(self, images: list[Floats], poses: Floats) -> Floats:
        """Return sums of the images seen through poses, windowed and of unit norm [M, 4]."""
        maps = similarity(poses)
        pairs = zip(images, maps, strict=True)
        seen = np.stack(
            [
                sampled(image, theta, self._axis, cv2.BORDER_CONSTANT).ravel()
                for image, theta in pairs
            ]
        )
        sums, power = seen @ self.moments.T, np.square(seen) @ self.moments[5]
        mean = sums[:, 4:5] / self.totals[4]
        norm = power[:, None] - 2 * mean * sums[:, 5:6] + np.square(mean) * self.totals[5]
        return (sums[:, :4] - mean * self.totals[:4]) / np.sqrt(np.maximum(norm, 1e-12))


def similarity(poses: Floats) -> Floats:
    """Return maps theta [N, 2, 3] of poses [N, 3]: turn in radians, shift in half sides."""
    cosine, sine = np.cos(poses[:, 0]), np.sin(poses[:, 0])
    rows = [cosine, -sine, poses[:, 1], sine, cosine, poses[:, 2]]
    return np.stack(rows, 1).reshape(-1, 2, 3)


def _without(poses: Floats, change: Floats) -> Floats:
    """Return poses after the inverse of a change of the template's frame."""
    angle = poses[:, 0] - change[:, 0]
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = change[:, 1], change[:, 2]
    moved = np.stack([cosine * x - sine * y, sine * x + cosine * y], 1)
    return np.concatenate([angle[:, None], poses[:, 1:] - moved], 1)


class Registration:
    """Finds the map theta of each image.

    Args:
        arrays: those of `clflow.export.registration.registration_arrays`.
    """

    def __init__(self, arrays: Mapping[str, Floats]) -> None:
        parts = ("window", "moments", "totals", "offsets")
        self._search = Search(
            **{
                name: arrays[f"search_{name}"]
                for name in ("window", "angles", "forth", "moved", "back")
            }
        )
        self._middle = Refinement(**{name: arrays[f"middle_{name}"] for name in parts})
        self._fine = Refinement(**{name: arrays[f"fine_{name}"] for name in parts})

    def __call__(self, pixels: NDArray[np.uint8]) -> Floats:
        """Return the maps theta [N, 2, 3] of uint8 images [N, S, S, 3]."""
        fine = [
            _through(_grey(image, len(self._fine.window)), self._fine.window) for image in pixels
        ]
        middle = [
            _through(_shrunk(image, len(self._middle.window)), self._middle.window)
            for image in fine
        ]
        coarse = [
            _through(_shrunk(image, len(self._search.window)), self._search.window)
            for image in fine
        ]
        candidates, there = self._search.candidates(np.stack(coarse))
        repeated = [image for image in middle for _ in range(_CANDIDATES)]
        refined, fits = self._middle(repeated, candidates.reshape(-1, 3), _MIDDLE_STEPS)
        best = np.where(there, fits.reshape(there.shape), -np.inf).argmax(1)
        chosen = refined.reshape(candidates.shape)[np.arange(len(pixels)), best]
        return similarity(self._fine(fine, chosen, _FINE_STEPS)[0])


def _grey(pixels: NDArray[np.uint8], size: int) -> Floats:
    """Return the mean of the colours of an image [S, S, 3], averaged over areas, 0 to 1."""
    shrunk = _shrunk(pixels.astype(np.float32), size)
    return shrunk @ np.full(3, 1 / (3 * 255), np.float32)


def _shrunk(image: Floats, size: int) -> Floats:
    """Return an image averaged over areas of a whole number of pixels."""
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA))


def _through(image: Floats, window: Floats) -> Floats:
    """Return a grey image [S, S] seen through a window, without its mean, of unit norm."""
    mean = (image * window).sum() / window.sum()
    residual = (image - mean) * window
    return residual / max(float(np.sqrt(np.square(residual).sum())), 1e-6)
