"""Our images on the scale that a peer takes them: that of our own detectors."""

from torch import Tensor

from clflow.backbones.network import Backbone


def normalised(pixels: Tensor, backbone: Backbone) -> Tensor:
    """Return uint8 images [N, 3, H, W] on the scale the backbone was trained on."""
    return (pixels.to(backbone.mean.device) - backbone.mean) / backbone.std
