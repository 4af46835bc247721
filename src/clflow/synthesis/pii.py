"""Poisson image interpolation (PII, J. Tan et al. 2021): FPI's squares, blended by gradients."""

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.blend import seamless_clone
from clflow.synthesis.finish import finish
from clflow.synthesis.fpi_settings import PIISettings
from clflow.synthesis.plain import PlainGenerator
from clflow.synthesis.square import numbers, sample_square
from clflow.synthesis.synthetic import Synthetic, check_pair


class PII(PlainGenerator[PIISettings]):
    """The PII generator of the registry."""

    model = PIISettings
    section = "pii"
    kind = "other"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: PIISettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Blend a square of `source` [H, W, 3] into `destination`, gradients weighted at random.

        Returns None where the square is too small to blend or nothing changes visibly.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        window = sample_square(destination.shape[:2], settings, rng)
        factor = float(rng.uniform(*settings.factor_bounds))
        patch, corner = source[window], (window[0].start, window[1].start)
        whole = np.ones(patch.shape[:2], bool)
        image = seamless_clone(destination, patch, whole, corner, settings.clone, factor)
        if image is None:
            return None
        region = np.zeros(destination.shape[:2], bool)
        region[window] = True
        return finish(destination, image, region, settings, factor, (numbers(window),))
