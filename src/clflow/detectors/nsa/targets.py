"""What a kind of label means for the network's output: activation and loss."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, mse_loss

from clflow.synthesis.labels import LabelKind


def activate(output: Tensor, label: LabelKind) -> Tensor:
    """Return anomaly maps: ReLU for labels in grey levels, else a sigmoid."""
    return torch.relu(output) if label == "intensity" else torch.sigmoid(output)


def label_loss(output: Tensor, target: Tensor, label: LabelKind) -> Tensor:
    """Return the mean loss of an output before its activation [N, H, W] and its labels."""
    if label == "intensity":
        return mse_loss(torch.relu(output), target)
    return binary_cross_entropy_with_logits(output, target)
