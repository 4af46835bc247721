"""Foreign patch interpolation (FPI, J. Tan et al. 2020): squares of two images, mixed in place."""

import numpy as np
from numpy.typing import NDArray

from clflow.synthesis.finish import finish
from clflow.synthesis.fpi_settings import FPISettings
from clflow.synthesis.paste import interpolate
from clflow.synthesis.plain import PlainGenerator
from clflow.synthesis.square import numbers, sample_square
from clflow.synthesis.synthetic import Synthetic, check_pair


class FPI(PlainGenerator[FPISettings]):
    """The FPI generator of the registry."""

    model = FPISettings
    section = "fpi"
    kind = "other"

    def generate(
        self,
        destination: NDArray[np.uint8],
        source: NDArray[np.uint8],
        settings: FPISettings,
        rng: np.random.Generator,
    ) -> Synthetic | None:
        """Mix a square of `source` [H, W, 3] into `destination` with one random weight.

        Returns None where the two images show the same there.

        Raises:
            DataError: the images are not uint8 [H, W, 3] of one size.
        """
        check_pair(destination, source)
        window = sample_square(destination.shape[:2], settings, rng)
        factor = float(rng.uniform(*settings.factor_bounds))
        region = np.zeros(destination.shape[:2], bool)
        region[window] = True
        image = interpolate(destination, source, region, factor)
        return finish(destination, image, region, settings, factor, (numbers(window),))
