"""The registration of images as a graph: its search by a few matrix products instead of an FFT."""

from copy import deepcopy
from math import tau

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clflow.alignment.registration import Registration, TurnedTemplate, peaks


class CorrelatedTemplate(nn.Module):
    """What a `TurnedTemplate` computes, by products with constant matrices.

    Only shifts of a few pixels are looked at. Along x, images and template are compared as
    spectra; along y, directly: the columns of a frequency are multiplied by those of the template,
    moved to each of the few rows.
    """

    def __init__(self, template: TurnedTemplate) -> None:
        super().__init__()
        self.limit = template.limit
        self.size = template.size
        self.reach = 2 * self.limit + 3
        padded = template.padded
        turned = torch.fft.irfft2(template.spectra.conj().to(torch.complex128), s=(padded, padded))
        frequencies = torch.arange(padded // 2 + 1)
        self.angles: Tensor
        self.forth: Tensor
        self.moved: Tensor
        self.back: Tensor
        self.register_buffer("angles", template.angles)
        self.register_buffer("forth", _waves(torch.arange(self.size), frequencies, padded).float())
        self.register_buffer("moved", self._moved(turned, frequencies).float())
        self.register_buffer("back", self._back(frequencies, padded).float())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return correlation [N, turns] and place [N, turns, 2] of windowed images [N, S, S]."""
        count, waves = images.shape[0], len(self.back) // 4
        # [N, S, 2 Q] to [Q, 2 N, S]: real parts of all images, then imaginary parts
        spectra = (images @ self.forth).unflatten(2, (2, waves))
        products = spectra.permute(3, 2, 0, 1).flatten(1, 2) @ self.moved
        # [Q, 2 N, 2 K D] to [N, K D, 4 Q]
        parts = products.unflatten(2, (2, -1)).unflatten(1, (2, -1))
        surface = parts.permute(2, 4, 1, 3, 0).flatten(2) @ self.back
        best, place = peaks(surface.reshape(count, -1, self.reach, self.reach))
        return best, (place - self.limit - 1) * 2 / self.size

    def _moved(self, turned: Tensor, frequencies: Tensor) -> Tensor:
        """Return the template's columns [Q, S, 2 K D] of each frequency, turn and shift along y."""
        waves = _waves(torch.arange(turned.shape[-1]), frequencies, turned.shape[-1])
        columns = (turned @ waves).unflatten(2, (2, -1))
        shifts = torch.arange(-self.limit - 1, self.limit + 2)
        rows = (torch.arange(self.size)[:, None] - shifts) % turned.shape[-1]
        # [K, S, D, 2, Q] to [Q, S, 2, K, D]
        return columns[:, rows].permute(4, 1, 3, 0, 2).flatten(2)

    def _back(self, frequencies: Tensor, padded: int) -> Tensor:
        """Return what makes shifts along x [4 Q, D] of products' real and imaginary parts.

        With a + b i of the image and c + d i of the template, (a + b i)(c - d i) is
        (a c + b d) + (b c - a d) i. Frequencies that stand for their conjugates count twice.
        """
        shifts = torch.arange(-self.limit - 1, self.limit + 2)
        cosine, sine = _waves(shifts, frequencies, padded).T.chunk(2)
        twice = torch.where((frequencies == 0) | (2 * frequencies == padded), 1.0, 2.0) / padded
        # the inverse transform turns the other way than the one that `_waves` is of
        return torch.cat([cosine, -sine, sine, cosine]) * twice.repeat(4)[:, None]


def _waves(places: Tensor, frequencies: Tensor, period: int) -> Tensor:
    """Return cos and -sin of each place and frequency [places, 2 Q], in double precision."""
    angle = tau / period * (places[:, None] * frequencies).double()
    return torch.cat([angle.cos(), -angle.sin()], 1)


class RegistrationGraph(nn.Module):
    """Maps theta [N, 2, 3] of pixels, as `ImageAlignment` finds them by a `Registration`."""

    def __init__(self, registration: Registration) -> None:
        super().__init__()
        self.registration = deepcopy(registration)
        self.registration.turned = CorrelatedTemplate(registration.turned)  # type: ignore[assignment]

    def forward(self, pixels: Tensor) -> Tensor:
        """Return theta [N, 2, 3] of uint8 pixels [N, S, S, 3]."""
        red, green, blue = pixels.permute(0, 3, 1, 2).float().split(1, dim=1)
        size = self.registration.size
        grey = interpolate((red + green + blue) / 3 / 255, size=(size, size), mode="area")
        return self.registration.found(grey[:, 0])
