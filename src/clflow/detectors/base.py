"""What every detector shares: its settings, its device, and the folder it is saved in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel
from safetensors.torch import load_file, save

from clflow.detectors.registry import find_method
from clflow.detectors.saved import WEIGHTS, read_description, write_description
from clflow.device import pick_device
from clflow.errors import NotFittedError, SettingsError
from clflow.files import write_bytes

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Settings = TypeVar("Settings", bound=BaseModel)


class SavedDetector(ABC, Generic[Settings]):
    """A detector that is saved as `model.json` and `model.safetensors`.

    Args:
        settings: all of them; None for the defaults of the method.
        method: the name it is saved under, one of those in `methods`.
        device: what computes; None for CUDA where there is one, else the CPU.

    Attributes:
        history_: loss and its terms at the logged steps of training.
        seed_: the seed of the generator it was fitted with, None before.
    """

    settings_model: ClassVar[type[BaseModel]]
    usual_method: ClassVar[str]

    settings: Settings

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        method: str | None = None,
        device: "str | torch.device | None" = None,
    ) -> None:
        self.method = method or self.usual_method
        self.settings = self._defaults() if settings is None else settings
        self.device = pick_device(device)
        self.history_: list[dict[str, float]] = []
        self.seed_: int | None = None

    def _defaults(self) -> Any:
        return self.settings_model.model_validate(find_method(self.method).complete({}))

    def _check_fitted(self) -> None:
        """Refuse to go on before `fit`.

        Raises:
            NotFittedError: there is nothing to score or to save with.
        """
        if self.seed_ is None:
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet: call fit first, or load a saved one"
            )

    @abstractmethod
    def _tensors(self) -> "Mapping[str, Tensor]":
        """Return what was learned."""

    @abstractmethod
    def _description(self) -> dict[str, Any]:
        """Return what `_restore` needs beside settings and tensors."""

    @abstractmethod
    def _restore(self, description: Mapping[str, Any], tensors: "dict[str, Tensor]") -> None:
        """Take up what was saved."""

    def save(self, folder: Path) -> None:
        """Write model.safetensors and model.json: no pickle.

        Raises:
            NotFittedError: the detector was not fitted.
            StorageError: a file cannot be written.
        """
        self._check_fitted()
        tensors = {name: value.cpu().contiguous() for name, value in self._tensors().items()}
        write_bytes(folder / WEIGHTS, save(tensors))
        settings = {"settings": self.settings.model_dump(mode="json"), "seed": self.seed_}
        write_description(folder, self.method, settings | self._description())

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        device: "str | torch.device | None" = None,
        weights: Path | None = None,
    ) -> Self:
        """Read a saved detector.

        Args:
            folder: what `save` wrote into.
            device: what computes; None for CUDA where there is one, else the CPU.
            weights: those of the backbone, in place of what the settings name.

        Raises:
            SettingsError: the backbone's weights are not those it was trained with.
            OSError, KeyError, TypeError, ValueError, RuntimeError: the folder holds no such model;
                `clflow.load` says so in words.
        """
        description = read_description(folder)
        settings: Any = cls.settings_model.model_validate(description["settings"])
        built = settings if weights is None else _with_weights(settings, weights)
        detector = cls(built, method=description["method"], device=device)
        detector.settings = settings
        detector._check_backbone(description, folder)
        detector._restore(description, load_file(folder / WEIGHTS))
        detector.seed_ = int(description["seed"])
        return detector

    def frozen_weights(self) -> "Mapping[str, Tensor] | None":
        """Return the weights of the frozen backbone, which `save` leaves out; None without one."""
        if self._fingerprint() is None:
            return None
        return self.backbone.network.state_dict()  # type: ignore[attr-defined]

    def _fingerprint(self) -> str | None:
        """Return that of the frozen backbone, which is not saved; None without one."""
        return None

    def _check_backbone(self, description: Mapping[str, Any], folder: Path) -> None:
        if description.get("backbone") == self._fingerprint():
            return
        name = self.settings.backbone.name  # type: ignore[attr-defined]
        raise SettingsError(
            f"{folder}: the weights of backbone {name!r} differ from those it was trained with; "
            "restore them or train again"
        )


def _with_weights(settings: Any, weights: Path) -> Any:
    """Return settings whose backbone reads its weights from a file."""
    change = {"weights": str(weights), "sha256": None}
    return settings.model_copy(update={"backbone": settings.backbone.model_copy(update=change)})
