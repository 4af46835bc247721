"""Which number format the network computes in."""

import torch

from clflow.detectors.nsa.settings import Precision


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Return whether to compute in bfloat16: as told, or where the processor multiplies it fast."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # older versions of torch do not tell
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("amx_bf16", False))


def mixed(device: torch.device, *, bfloat16: bool) -> torch.autocast:
    """Return the context in which a forward pass computes; parameters stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)
