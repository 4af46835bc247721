"""The NSA detector (arXiv 2109.15222): trained from scratch to predict labels of anomalies.

FPI, PII and CutPaste, as the NSA authors ran them, are settings of it.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save
from torch import Tensor

from clflow.data.images import ImageSource, resize_image
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
from clflow.detectors.protocol import Scores, Workspace
from clflow.device import pick_device
from clflow.files import write_bytes, write_json
from clflow.progress import say
from clflow.synthesis.background import Kind
from clflow.synthesis.training_data import TrainingData

BATCH_SIZE = 32
NO_WORKSPACE = Workspace()


class NSADetector:
    """An encoder-decoder that maps an image to its anomaly map; the image score is the map's mean.

    Attributes:
        network_: the whole network.
        kind_: object or texture, which decides what of an image is looked at.
        inputs_: channels of the network, and whether they are standardised.
        history_: mean loss and learning rate of each epoch.
    """

    def __init__(self, settings: NSADetectorSettings, inputs: Inputs | None = None) -> None:
        self.settings = settings
        self.device = pick_device()
        self.bfloat16 = uses_bfloat16(settings.precision, self.device)
        self.history_: list[dict[str, float]] = []
        self.kind_: Kind = "texture"
        self.inputs_ = inputs or choose_inputs({}, settings.input)
        self.network_ = self._new_network(0).eval().requires_grad_(False)

    @property
    def backbone(self) -> Encoder:
        """The encoder, trained with the rest: a ResNet-18 without classifier."""
        return self.network_.encoder

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
        self.history_ = train(network, task, self.settings, workspace.checkpoint)
        self.network_ = network.eval().requires_grad_(False)
        return self

    @torch.inference_mode()
    def score(self, images: ImageSource, workspace: Workspace = NO_WORKSPACE) -> Scores:
        """Return raw image scores [N] and anomaly maps [N, image_size, image_size].

        Of an object the central square is looked at: outside of it maps are 0, and the image score
        is the mean within it.
        """
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

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json."""
        state = self.network_.state_dict()
        tensors = {name: value.cpu().contiguous() for name, value in state.items()}
        write_bytes(folder / "model.safetensors", save(tensors))
        settings = self.settings.model_dump(mode="json")
        decided = {"kind": self.kind_, "inputs": asdict(self.inputs_)}
        write_json(folder / "model.json", {"settings": settings} | decided)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a saved detector."""
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        settings = NSADetectorSettings.model_validate(description["settings"])
        detector = cls(settings, Inputs(**description["inputs"]))
        detector.kind_ = description["kind"]
        detector.network_.load_state_dict(load_file(folder / "model.safetensors"))
        return detector
