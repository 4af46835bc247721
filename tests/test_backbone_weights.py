from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from clflow.errors import SettingsError
from clflow.features.backbone import Backbone, build_backbone
from clflow.features.registry import BackboneSettings
from clflow.features.weights import bundled_weights, timm_name
from clflow.files import sha256_of

# after clflow.features.backbone, which makes torchvision importable
timm = import_module("timm")

RESNET = BackboneSettings(name="resnet18", weights="random")


def noise(size: int, count: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    return build_backbone(BackboneSettings(name="efficientnet_lite0"))


@pytest.fixture(scope="module")
def resnet18() -> nn.Module:
    """Return a whole resnet18 whose weights are not those of `random`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return timm.create_model("resnet18", pretrained=False).eval()


@pytest.fixture(scope="module")
def weight_files(tmp_path_factory: pytest.TempPathFactory, resnet18: nn.Module) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_file(resnet18.state_dict(), folder / "resnet18.safetensors")
    torch.save(resnet18.state_dict(), folder / "resnet18.pth")
    return folder


def test_bundled_weights_fill_the_whole_model() -> None:
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    result = network.load_state_dict(bundled_weights(), strict=False)
    assert (result.missing_keys, result.unexpected_keys) == ([], [])


@pytest.mark.parametrize(
    ("bundled", "expected"),
    [
        pytest.param("_conv_stem.weight", "conv_stem.weight", id="stem"),
        pytest.param("_bn0.bias", "bn1.bias", id="stem-norm"),
        pytest.param("_blocks.0._bn1.bias", "blocks.0.0.bn1.bias", id="separable-first-norm"),
        pytest.param(
            "_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight", id="separable-projection"
        ),
        pytest.param("_blocks.4._bn0.weight", "blocks.2.1.bn1.weight", id="first-norm"),
        pytest.param("_blocks.4._bn1.weight", "blocks.2.1.bn2.weight", id="second-norm"),
        pytest.param("_blocks.4._bn2.weight", "blocks.2.1.bn3.weight", id="third-norm"),
        pytest.param("_blocks.15._bn2.running_var", "blocks.6.0.bn3.running_var", id="last-block"),
        pytest.param("_bn1.running_mean", "bn2.running_mean", id="head-norm"),
        pytest.param("_fc.bias", "classifier.bias", id="classifier"),
    ],
)
def test_names_of_the_bundled_file_are_translated(bundled: str, expected: str) -> None:
    assert timm_name(bundled) == expected


def test_bundled_norms_see_the_means_they_store(lite0: Backbone) -> None:
    """Equally wide norms in the wrong order would pass every check of shapes."""
    agreement: dict[str, float] = {}

    def compare(name: str, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        means = torch.stack([inputs[0].mean(dim=(0, 2, 3)), norm.get_buffer("running_mean")])
        agreement[name] = float(torch.corrcoef(means)[0, 1])

    hooks = [
        module.register_forward_pre_hook(partial(compare, name))
        for name, module in lite0.network.named_modules()
        if name.startswith("blocks") and name.endswith(("bn2", "bn3"))
    ]
    lite0(interpolate(noise(16, 4).float(), size=128, mode="bicubic"))
    for hook in hooks:
        hook.remove()
    assert len(agreement) == 31
    assert min(agreement.values()) > 0.5


def test_levels_of_a_convolutional_network_are_its_stages(
    weight_files: Path, resnet18: nn.Module
) -> None:
    settings = BackboneSettings(name="resnet18", weights=str(weight_files / "resnet18.pth"))
    backbone, images = build_backbone(settings), noise(64)
    with torch.inference_mode():
        hidden = (images - backbone.mean) / backbone.std
        for name in ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3"):
            hidden = resnet18.get_submodule(name)(hidden)
    torch.testing.assert_close(backbone(images)[2], hidden, rtol=1e-4, atol=1e-4)


def test_local_files_load_alike_with_and_without_a_hash(weight_files: Path) -> None:
    prints = set()
    for name in ("resnet18.pth", "resnet18.safetensors"):
        path = weight_files / name
        for sha256 in (None, sha256_of(path)):
            settings = BackboneSettings(name="resnet18", weights=str(path), sha256=sha256)
            prints.add(build_backbone(settings).fingerprint())
    assert len(prints) == 1
    assert prints != {build_backbone(RESNET).fingerprint()}


def test_wrong_hash_is_refused(weight_files: Path) -> None:
    path = weight_files / "resnet18.pth"
    settings = BackboneSettings(name="resnet18", weights=str(path), sha256="0" * 64)
    with pytest.raises(SettingsError, match=f"sha256 is {sha256_of(path)}, expected 0000"):
        build_backbone(settings)


def test_weights_of_another_network_are_refused(weight_files: Path) -> None:
    weights = str(weight_files / "resnet18.safetensors")
    with pytest.raises(SettingsError, match=r"do not fit backbone 'efficientnet_lite0'.*conv_stem"):
        build_backbone(BackboneSettings(name="efficientnet_lite0", weights=weights))


def test_missing_file_names_what_is_allowed(tmp_path: Path) -> None:
    settings = BackboneSettings(name="resnet18", weights=str(tmp_path / "absent.pth"))
    with pytest.raises(SettingsError, match=r"absent.pth.*no such file; allowed are 'bundled'"):
        build_backbone(settings)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>moved</html>", id="text"),
        pytest.param(b"PK\x03\x04 broken off", id="half-a-zip"),
    ],
)
def test_damaged_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"damaged\.\w+ cannot be read"):
        build_backbone(BackboneSettings(name="resnet18", weights=str(path)))


class Gadget:
    """Something that only unpickling could bring back."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(Gadget(), "cannot be read", id="object"),
        pytest.param({"model": {"conv1.weight": torch.ones(1)}}, "save that part", id="nested"),
        pytest.param(torch.ones(2), "must map parameter names to tensors", id="tensor"),
    ],
)
def test_pth_file_holds_tensors_by_name_only(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.pth")
    settings = BackboneSettings(name="resnet18", weights=str(tmp_path / "other.pth"))
    with pytest.raises(SettingsError, match=message):
        build_backbone(settings)


def test_bundled_package_with_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clflow.features.weights.BUNDLED_SHA256", "0" * 64)
    with pytest.raises(SettingsError, match="sha256 is 5793"):
        bundled_weights()


def test_bundled_weights_exist_for_lite0_only() -> None:
    with pytest.raises(SettingsError, match="no bundled weights for backbone 'resnet18'"):
        build_backbone(BackboneSettings(name="resnet18"))


@pytest.fixture
def address(weight_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the weight files on the loopback interface; downloads go to tmp_path."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    handler = partial(SimpleHTTPRequestHandler, directory=str(weight_files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def point_timm_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configurations = import_module("timm.models._registry")._model_pretrained_cfgs
    config = timm.get_pretrained_cfg("resnet18")
    for key in ("resnet18", f"resnet18.{config.tag}"):
        monkeypatch.setitem(configurations, key, replace(config, url=url, hf_hub_id=None))


def test_pretrained_weights_are_downloaded_by_timm(
    address: str, weight_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_timm_to(f"{address}/resnet18.pth", monkeypatch)
    downloaded = build_backbone(BackboneSettings(name="resnet18", weights="pretrained"))
    local = BackboneSettings(name="resnet18", weights=str(weight_files / "resnet18.pth"))
    assert downloaded.fingerprint() == build_backbone(local).fingerprint()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("{address}/absent.pth", "404", id="not-found"),
        pytest.param("http://127.0.0.1:1/resnet18.pth", "refused", id="no-server"),
    ],
)
def test_pretrained_weights_that_cannot_be_had(
    url: str, reason: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_timm_to(url.format(address=address), monkeypatch)
    with pytest.raises(
        SettingsError, match=rf"'resnet18' cannot be had .*{reason}.*local weight file"
    ):
        build_backbone(BackboneSettings(name="resnet18", weights="pretrained"))
