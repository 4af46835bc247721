"""The peers: where each one's class is and what is particular about it."""

from typing import Any, cast

from torch import Tensor, nn

from clflow.detectors.anomalib import settings
from clflow.detectors.anomalib.detector import PeerDetector


class Patchcore(PeerDetector):
    """PatchCore: distance to a coreset of good patches."""

    target = "anomalib.models.image.patchcore:Patchcore"
    settings_model = settings.PatchcoreSettings
    usual_method = "anomalib.patchcore"

    def train(self, module: Any, pixels: Tensor, seed: int) -> list[dict[str, float]]:
        """Collect patches of good images, uint8 [N, 3, H, W], and select the coreset."""
        # anomalib is an extra
        from clflow.detectors.anomalib.coreset import coreset_selection

        chosen = cast(settings.PatchcoreSettings, self.settings).coreset
        with coreset_selection(quick=chosen == "quick"):
            return super().train(module, pixels, seed)


class Padim(PeerDetector):
    """PaDiM: a Gaussian per location."""

    target = "anomalib.models.image.padim:Padim"
    settings_model = settings.PadimSettings
    usual_method = "anomalib.padim"


class Dfm(PeerDetector):
    """DFM: what principal components of one level leave unexplained."""

    target = "anomalib.models.image.dfm:Dfm"
    settings_model = settings.DfmSettings
    usual_method = "anomalib.dfm"

    def arguments(self) -> dict[str, Any]:
        """Return what the peer's constructor is given: a single level, and the score with a map."""
        arguments = super().arguments()
        (level,) = arguments.pop("layers")
        return {**arguments, "layer": level, "score_type": "fre"}


class Stfpm(PeerDetector):
    """STFPM: a student that imitates the backbone on good images."""

    target = "anomalib.models.image.stfpm:Stfpm"
    settings_model = settings.StfpmSettings
    usual_method = "anomalib.stfpm"


class Fastflow(PeerDetector):
    """FastFlow as anomalib has it."""

    target = "anomalib.models.image.fastflow:Fastflow"
    settings_model = settings.FastflowSettings
    usual_method = "anomalib.fastflow"

    def arguments(self) -> dict[str, Any]:
        """Return what the peer's constructor is given; its levels are fixed.

        It knows four backbones by name. Any convolutional one fits where its ResNet-18 is read,
        since channels and strides are taken from the network itself.
        """
        arguments = super().arguments()
        del arguments["layers"]
        return {**arguments, "backbone": "resnet18"}


class Patchflow(PeerDetector):
    """PatchFlow: a shallow flow on features of several scales of the image."""

    target = "anomalib.models.image.patchflow:Patchflow"
    settings_model = settings.PatchflowSettings
    usual_method = "anomalib.patchflow"

    def arguments(self) -> dict[str, Any]:
        """Return what the peer's constructor is given; its levels are fixed."""
        arguments = super().arguments()
        del arguments["layers"]
        return arguments


class Supersimplenet(PeerDetector):
    """SuperSimpleNet: a discriminator of features and noisy features."""

    target = "anomalib.models.image.supersimplenet:Supersimplenet"
    settings_model = settings.SupersimplenetSettings
    usual_method = "anomalib.supersimplenet"

    def raw_scores(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores and maps before the sigmoid, which would round the highest to ties at 1."""
        seen: dict[str, Tensor] = {}

        def keep_score(_: nn.Module, __: Any, output: tuple[Tensor, Tensor]) -> None:
            seen["score"] = output[1]

        def keep_map(_: nn.Module, __: Any, output: Tensor) -> None:
            seen["map"] = output

        parts = dict(self.model_.named_children())
        hooks = [
            parts["segdec"].register_forward_hook(keep_score),
            parts["anomaly_map_generator"].register_forward_hook(keep_map),
        ]
        try:
            self.model_(images)
        finally:
            for hook in hooks:
                hook.remove()
        return seen["score"], seen["map"]
