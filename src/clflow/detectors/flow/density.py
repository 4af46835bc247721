"""What is learned: a flow per level, the two scalars of its classifier, a projection if needed."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from clflow.detectors.flow.settings import FlowSettings
from clflow.flows.flow import Flow2d

# directions in which projected cells are compared
_PROJECTED = 64


@dataclass(frozen=True, eq=False)
class Evidence:
    """Latent [N, C, H, W], energy and half mean square of the latent, both [N, H, W]."""

    latent: Tensor
    energy: Tensor
    z2: Tensor


class LevelDensity(nn.Module):
    """The density of one level's features.

    The energy of a location is its negative log-likelihood per channel without the constant,
    (|z|^2 / 2 - log|det J|) / C; the classifier's logit is gain softplus(a) (q - b).
    """

    def __init__(self, channels: int, settings: FlowSettings, generator: torch.Generator) -> None:
        super().__init__()
        self.flow = Flow2d(channels, settings.flow, generator)
        self.classification = settings.classification
        self.projection: nn.Linear | None = None
        if settings.contrast.weight > 0 and settings.contrast.form == "projection":
            self.projection = _orthogonal(channels, _PROJECTED, generator)
        self.slope = nn.Parameter(torch.ones(()))
        self.boundary = nn.Parameter(torch.ones(()))

    def forward(self, features: Tensor) -> Evidence:
        """Return the evidence of normalised features [N, C, H, W]."""
        latent, log_determinant = self.flow(features)
        z2 = 0.5 * latent.square().mean(1)
        return Evidence(latent, z2 - log_determinant / latent.shape[1], z2)

    def logit(self, evidence: Evidence) -> Tensor:
        """Return the logit of being anomalous for each location [N, H, W]."""
        energy = self.classification.quantity == "energy"
        quantity = evidence.energy if energy else evidence.z2
        return self.classification.gain * softplus(self.slope) * (quantity - self.boundary)


def _orthogonal(channels: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    layer = nn.Linear(channels, outputs, bias=False)
    nn.init.orthogonal_(layer.weight, generator=generator)
    return layer
