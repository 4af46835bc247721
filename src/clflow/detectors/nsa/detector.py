"""The NSA detector (arXiv 2109.15222): trained from scratch to predict labels of anomalies.

FPI, PII and CutPaste, as the NSA authors ran them, are settings of it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clflow.data.images import ImageSource, resize_image
from clflow.detectors.base import SavedDetector
from clflow.detectors.nsa.network import (
    Encoder,
    EncoderDecoder,
    activate,
    build_network,
    mixed,
    uses_bfloat16,
)
from clflow.detectors.nsa.plan import Inputs, Plan, choose_inputs
from clflow.detectors.nsa.settings import NSADetectorSettings
from clflow.detectors.nsa.training import Task, prepare, train
from clflow.detectors.nsa.views import central, framed, scored_side
from clflow.detectors.protocol import NO_WORKSPACE, Scores, Workspace
from clflow.progress import say
from clflow.synthesis.background import Kind
from clflow.synthesis.training_data import TrainingData

BATCH_SIZE = 32


class NSADetector(SavedDetector[NSADetectorSettings]):
    """An encoder-decoder that maps an image to its anomaly map; the image score is the map's mean.

    Attributes:
        network_: the whole network.
        kind_: object or texture, which decides what of an image is looked at.
        inputs_: channels of the network, and whether they are standardised.
        history_: mean loss and learning rate of each epoch.
    """

    settings_model = NSADetectorSettings
    usual_method = "nsa"

    def __init__(
        self,
        settings: NSADetectorSettings | None = None,
        *,
        method: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__(settings, method=method, device=device)
        self.bfloat16 = uses_bfloat16(self.settings.precision, self.device)
        self.kind_: Kind = "texture"
        self.inputs_ = choose_inputs({}, self.settings.input)
        self.network_ = self._new_network(0).eval().requires_grad_(False)

    @property
    def backbone(self) -> Encoder:
        """The encoder, trained with the rest: a ResNet-18 without classifier."""
        return self.network_.encoder

    @property
    def learns_from_anomalies(self) -> bool:
        """Whether anomalies come from a bank; otherwise it makes its own."""
        return self.settings.anomalies.source == "bank"

    def fit(
        self, data: TrainingData, generator: torch.Generator, workspace: Workspace = NO_WORKSPACE
    ) -> Self:
        """Train on good images with an anomaly put into each.

        Raises:
            DataError: there are no good images, or no anomalies or other images where the source
                of anomalies needs them.
            TrainingError: the run diverged.
        """
        seed = int(torch.randint(2**62, (), generator=generator))
        plan, samples = prepare(data, self.settings, seed)
        self._announce(plan)
        self.kind_, self.inputs_ = plan.kind, plan.inputs
        network = self._new_network(seed)
        task = Task(samples, plan.epochs, seed, self.device)
        self.history_ = train(network, task, self.settings, workspace)
        self.network_ = network.eval().requires_grad_(False)
        self.seed_ = generator.initial_seed()
        return self

    @torch.inference_mode()
    def score(self, images: ImageSource, workspace: Workspace = NO_WORKSPACE) -> Scores:
        """Return raw image scores [N] and anomaly maps [N, image_size, image_size].

        Of an object the central square is looked at: outside of it maps are 0, and the image score
        is the mean within it.

        Raises:
            NotFittedError: the detector was not fitted.
        """
        self._check_fitted()
        size = self.settings.image_size
        scores = np.empty(len(images), np.float32)
        maps = np.empty((len(images), size, size), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            rows = range(start, min(start + BATCH_SIZE, len(images)))
            seen = self._predict(np.stack([resize_image(images[i], size, size) for i in rows]))
            scores[rows.start : rows.stop] = seen.mean((1, 2)).cpu().numpy()
            maps[rows.start : rows.stop] = framed(seen, size).cpu().numpy()
        return Scores(scores, maps)

    def _predict(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the maps [N, side, side] of the parts of images [N, S, S, 3] that are scored."""
        seen = np.ascontiguousarray(central(pixels, scored_side(self.kind_, self.settings)))
        images = torch.from_numpy(seen).to(self.device).permute(0, 3, 1, 2)
        with mixed(self.device, bfloat16=self.bfloat16):
            output = self.network_(images)
        return activate(output, self.settings.label)

    def _new_network(self, seed: int) -> EncoderDecoder:
        generator = torch.Generator().manual_seed(seed)
        return build_network(generator, self.inputs_).to(self.device)

    def _announce(self, plan: Plan) -> None:
        own, label = self.settings.anomalies, self.settings.label
        fresh = own.source == "fly"
        source = f"fresh anomalies of {plan.member.generator}" if fresh else "anomalies of the bank"
        number = "bfloat16" if self.bfloat16 else "float32"
        say(f"{plan.reason}; {source}, {label} labels, {number}")

    def _tensors(self) -> dict[str, Tensor]:
        return self.network_.state_dict()

    def _description(self) -> dict[str, Any]:
        return {"kind": self.kind_, "inputs": asdict(self.inputs_)}

    def _restore(self, description: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
        self.kind_, self.inputs_ = description["kind"], Inputs(**description["inputs"])
        self.network_ = self._new_network(0).eval().requires_grad_(False)
        self.network_.load_state_dict(tensors)
