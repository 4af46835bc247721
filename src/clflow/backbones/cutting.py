"""Blocks of a network that no level is read from, removed."""

from torch import nn


def cut(network: nn.Module) -> None:
    """End a network, in place, with the last level that is read.

    timm's residual networks end there by themselves; its EfficientNets run all their blocks
    whatever is read.

    Args:
        network: timm's, with `features_only`.
    """
    names: list[str] = network.feature_info.module_name()  # type: ignore[operator, union-attr]
    read = [int(name.removeprefix("blocks.")) for name in names if name.startswith("blocks.")]
    if read:
        blocks = list(network.blocks.children())  # type: ignore[union-attr]
        network.blocks = nn.Sequential(*blocks[: max(read) + 1])
