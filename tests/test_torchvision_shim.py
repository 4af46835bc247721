from types import ModuleType, SimpleNamespace

import pytest

from clflow.features import torchvision_shim
from clflow.features.torchvision_shim import ensure_torchvision

MISSING_OPERATOR = "operator torchvision::nms does not exist"


class Imports:
    """Stands in for `importlib`: fails as often as there are errors, and counts."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.count = 0

    def import_module(self, name: str) -> ModuleType:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return ModuleType(name)


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is done about operators, which is noted and not done."""
    notes: list[str] = []
    modules = {"torchvision": 1, "torchvision.ops": 2, "torchvisionary": 3, "torch": 4}
    monkeypatch.setattr(torchvision_shim, "sys", SimpleNamespace(modules=modules))
    monkeypatch.setattr(
        torchvision_shim, "_declare_operators", lambda: notes.append(",".join(modules))
    )
    return notes


def test_nothing_is_done_where_torchvision_imports(
    monkeypatch: pytest.MonkeyPatch, declared: list[str]
) -> None:
    imports = Imports()
    monkeypatch.setattr(torchvision_shim, "importlib", imports)
    ensure_torchvision()
    assert (imports.count, declared) == (1, [])


def test_missing_operators_are_declared_before_a_second_import(
    monkeypatch: pytest.MonkeyPatch, declared: list[str]
) -> None:
    imports = Imports(RuntimeError(MISSING_OPERATOR))
    monkeypatch.setattr(torchvision_shim, "importlib", imports)
    ensure_torchvision()
    assert imports.count == 2
    assert declared == ["torchvisionary,torch"]  # the half-imported modules are forgotten


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([RuntimeError("libcudart.so is damaged")], id="other-runtime-error"),
        pytest.param([ImportError("no torchvision")], id="not-installed"),
        pytest.param(
            [RuntimeError(MISSING_OPERATOR), RuntimeError(MISSING_OPERATOR)], id="no-help"
        ),
    ],
)
def test_other_errors_are_raised(
    monkeypatch: pytest.MonkeyPatch, declared: list[str], errors: list[Exception]
) -> None:
    monkeypatch.setattr(torchvision_shim, "importlib", Imports(*errors))
    with pytest.raises(type(errors[-1]), match=str(errors[-1])):
        ensure_torchvision()


def test_timm_imports_afterwards() -> None:
    ensure_torchvision()
    ensure_torchvision()
    import timm
    import torchvision

    assert timm.is_model("resnet18")
    assert torchvision.transforms.CenterCrop(2) is not None
