"""How large a detector is: parameters, stored numbers, multiply-adds."""

from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clflow.cost.report import Size
from clflow.detectors.protocol import Detector


def detector_size(detector: Detector, saved: Path) -> Size:
    """Count a fitted detector that is saved in the folder `saved`."""
    own = [value for value in vars(detector).values() if isinstance(value, nn.Module)]
    backbone = _count(detector.backbone.parameters())
    additional = _count(_beyond(detector.backbone, nn.Module.parameters, own))
    return Size(
        backbone_parameters=backbone,
        additional_parameters=additional,
        total_parameters=backbone + additional,
        stored_values=_count(_beyond(detector.backbone, nn.Module.buffers, own)),
        saved_bytes=sum(path.stat().st_size for path in saved.rglob("*") if path.is_file()),
    )


def _beyond(
    backbone: nn.Module,
    tensors: Callable[[nn.Module], Iterable[Tensor]],
    modules: Iterable[nn.Module],
) -> list[Tensor]:
    """Return the modules' tensors, each once, without the backbone's, which they may contain."""
    given = {id(tensor) for tensor in tensors(backbone)}
    found = {id(tensor): tensor for module in modules for tensor in tensors(module)}
    return [tensor for key, tensor in found.items() if key not in given]


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors)


def giga_macs(call: Callable[[], object]) -> float:
    """Return the billions of multiply-adds of a call: half of what torch counts as operations.

    Convolutions, matrix products and attention count, element-wise operations do not.
    """
    # other kernels of attention are not counted on every device
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        call()
    return counter.get_total_flops() / 2e9
