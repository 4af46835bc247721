"""What the runtime needs to register images without torch: constants of a fitted registration."""

from math import tau

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clflow.alignment.registration import Refinement, Registration, TurnedTemplate, disc

Arrays = dict[str, NDArray[np.float32]]


def registration_arrays(registration: Registration) -> Arrays:
    """Return the arrays of `clflow.runtime.registration.Registration`, by name."""
    search, middle, fine = registration.turned, registration.middle, registration.fine
    arrays = {f"search_{name}": value for name, value in _search(search).items()}
    for name, refinement in (("middle", middle), ("fine", fine)):
        arrays |= {f"{name}_{part}": value for part, value in _refinement(refinement).items()}
    return {name: value.cpu().float().contiguous().numpy() for name, value in arrays.items()}


def _refinement(refinement: Refinement) -> dict[str, Tensor]:
    return {
        "window": disc(refinement.size),
        "moments": refinement.moments.T,
        "totals": refinement.totals,
        "offsets": refinement.offsets,
    }


def _search(template: TurnedTemplate) -> dict[str, Tensor]:
    """Return constants that compare images with all turns of a template, shifted by a few pixels.

    Along x, images and template are compared as spectra, whose real and imaginary parts are sums
    over products with `forth`. Along y they are compared directly: `moved` has the columns of each
    turn at each frequency, moved to each of the few rows, [Q, S, 2 K D]. `back` makes shifts along
    x of the products of real and imaginary parts [4 Q, D].
    """
    padded, size = template.padded, template.size
    spectra = template.spectra.cpu().conj().to(torch.complex128)
    turned = torch.fft.irfft2(spectra, s=(padded, padded))
    waves = _waves(torch.arange(padded), padded)
    shifts = torch.arange(-template.limit - 1, template.limit + 2)
    columns = (turned @ waves).unflatten(2, (2, -1))
    rows = (torch.arange(size)[:, None] - shifts) % padded
    return {
        "window": disc(size),
        "angles": template.angles,
        "forth": waves[:size],
        # [K, S, D, 2, Q] to [Q, S, 2 K D]
        "moved": columns[:, rows].permute(4, 1, 3, 0, 2).flatten(2),
        "back": _back(shifts, padded),
    }


def _back(shifts: Tensor, padded: int) -> Tensor:
    """Return what turns products of spectra back into shifts [4 Q, D].

    With a + b i of the image and c + d i of the template, (a + b i)(c - d i) is
    (a c + b d) + (b c - a d) i. Frequencies that stand for their conjugates too count twice.
    """
    cosine, sine = _waves(shifts, padded).T.chunk(2)
    frequencies = torch.arange(len(cosine))
    once = (frequencies == 0) | (2 * frequencies == padded)
    weight = torch.where(once, 1.0, 2.0).double() / padded
    return torch.cat([cosine, -sine, sine, cosine]) * weight.repeat(4)[:, None]


def _waves(places: Tensor, period: int) -> Tensor:
    """Return cos and -sin of each place and frequency [places, 2 Q], in double precision."""
    angle = tau / period * (places[:, None] * torch.arange(period // 2 + 1)).double()
    return torch.cat([angle.cos(), -angle.sin()], 1)
