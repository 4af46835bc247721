"""What the cost stage measures by: counts are exact, timed calls take turns, memory is the peak."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow_cases import grain, seeded, small_settings, training_data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from clflow.data.images import ArrayImages
from clflow.detectors.flow.detector import FlowDetector
from clflow.pipeline.machine import (
    batch_latency,
    describe_machine,
    detector_size,
    giga_macs,
    peak_resident_bytes,
    processor,
    timed,
)

SIDE = 64
# channels and strides of the three levels of EfficientNet-Lite0
LEVELS = ((24, 4), (40, 8), (112, 16))


def blocks(channels: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield kernel, passive, hidden and output channels of each coupling of the small FastFlow."""
    passive, active = channels - channels // 2, channels // 2
    for kernel in (3, 1):
        yield kernel, passive, passive, 2 * active


def fitted(**changes: Any) -> FlowDetector:
    settings = small_settings("fastflow", **changes)
    return FlowDetector(settings).fit(training_data(with_negatives=False), seeded())


def test_parameters_of_a_flow_are_those_of_its_definition(tmp_path: Path) -> None:
    detector = fitted()
    detector.save(tmp_path)
    additional = sum(
        2  # slope and boundary of the classifier
        + sum(
            2 * channels + hidden * (passive * k**2 + 1) + out * (hidden * k**2 + 1)
            for k, passive, hidden, out in blocks(channels)
        )
        for channels, _ in LEVELS
    )
    size = detector_size(detector, tmp_path)
    assert size.additional_parameters == additional
    assert size.backbone_parameters == sum(p.numel() for p in detector.backbone.parameters())
    assert size.total_parameters == size.backbone_parameters + additional
    # mean and scale, and a permutation and its inverse of both couplings
    assert size.stored_values == sum(6 * channels for channels, _ in LEVELS)
    files = ("model.json", "model.safetensors")
    assert size.saved_bytes == sum((tmp_path / name).stat().st_size for name in files)


class Wrapping:
    """A detector whose own model contains the backbone, as that of a library does."""

    def __init__(self) -> None:
        self.backbone = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))
        self.student = nn.Linear(5, 2)
        self.model = nn.ModuleDict({"backbone": self.backbone, "student": self.student})
        self.model.register_buffer("bank", torch.zeros(7, 5))


def test_nothing_is_counted_twice(tmp_path: Path) -> None:
    size = detector_size(Wrapping(), tmp_path)  # type: ignore[arg-type]
    assert size.backbone_parameters == 3 * 5 + 5 + 2 * 5
    assert size.additional_parameters == 5 * 2 + 2
    assert size.stored_values == 7 * 5
    assert size.saved_bytes == 0


@pytest.mark.parametrize("context", [torch.inference_mode, torch.enable_grad])
def test_multiply_adds_of_a_convolution(context: Callable[[], Any]) -> None:
    layer, images = nn.Conv2d(3, 8, 3, padding=1), torch.zeros(1, 3, 10, 12)
    with context():
        assert giga_macs(lambda: layer(images)) == pytest.approx(8 * 3 * 9 * 10 * 12 / 1e9)


def test_multiply_adds_of_attention_count_on_any_device() -> None:
    tokens = torch.zeros(1, 2, 8, 4)
    macs = giga_macs(lambda: scaled_dot_product_attention(tokens, tokens, tokens))
    assert macs == pytest.approx(2 * 2 * 8 * 8 * 4 / 1e9)


def test_a_flow_detector_takes_its_couplings_and_maps_more_than_its_lean_backbone() -> None:
    detector = fitted(score={"smoothing": 0.0})
    whole = giga_macs(lambda: detector.score(ArrayImages(grain(1, 3))))
    lean = detector.backbone.lean()
    bare = giga_macs(lambda: lean(torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)))
    flows = sum(
        (SIDE // stride) ** 2 * k**2 * hidden * (passive + out)
        for channels, stride in LEVELS
        for k, passive, hidden, out in blocks(channels)
    )
    cells = [SIDE // stride for _, stride in LEVELS]
    # each level's map is brought to the input's size by a matrix for rows and one for columns
    maps = sum(SIDE * side * side + SIDE * side * SIDE for side in cells)
    assert whole - bare == pytest.approx((flows + maps) / 1e9)


def test_timed_calls_take_turns_and_warm_up_does_not_count() -> None:
    order: list[str] = []
    waits: list[int] = []
    now = {"seconds": 0.0}

    def call(name: str) -> None:
        now["seconds"] += len(order)
        order.append(name)

    calls = {"a": lambda: call("a"), "b": lambda: call("b")}
    seconds = timed(calls, 2, 1, lambda: waits.append(len(order)), lambda: now["seconds"])
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert seconds["a"].tolist() == [2, 4]
    assert seconds["b"].tolist() == [3, 5]
    assert waits == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]


def test_what_is_waited_for_is_part_of_a_call() -> None:
    now = {"seconds": 0.0, "pending": 0.0}

    def start() -> None:
        now["pending"] = 3.0

    def wait() -> None:
        now["seconds"] += now.pop("pending", 0.0)

    assert timed({"a": start}, 2, 0, wait, lambda: now["seconds"])["a"].tolist() == [3, 3]


def test_latency_of_known_times() -> None:
    latency = batch_latency(np.array([0.01, 0.03, 0.02]), np.linspace(0, 0.1, 101), 16)
    assert latency.backbone.median_ms == pytest.approx(20)
    assert latency.detector.median_ms == pytest.approx(50)
    assert latency.detector.p95_ms == pytest.approx(95)
    assert latency.detector.images_per_second == pytest.approx(320)
    assert latency.ratio == pytest.approx(2.5)


@given(arrays(float, 20, elements=st.floats(1e-6, 1e3)), st.integers(1, 64))
def test_slow_calls_are_no_faster_than_the_median(seconds: np.ndarray, batch: int) -> None:
    latency = batch_latency(seconds, seconds, batch)
    assert latency.ratio == 1
    assert latency.detector.p95_ms >= latency.detector.median_ms
    assert latency.detector.images_per_second * latency.detector.median_ms == pytest.approx(
        1000 * batch
    )


def test_peak_memory_is_that_of_the_status_file(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmPeak:\t 900 kB\nVmHWM:\t   70 kB\nVmRSS:\t 60 kB\n")
    assert peak_resident_bytes(status) == 70 * 1024


GROW = """
import numpy as np
from pathlib import Path
from clflow.pipeline.machine import peak_resident_bytes
before = peak_resident_bytes()
size = before + 2**26
np.ones(size, np.uint8)
print(before, size, peak_resident_bytes(), peak_resident_bytes(Path("no such file")))
"""


def test_peak_memory_counts_what_was_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", GROW], capture_output=True, text=True, check=True)
    before, size, after, portable = map(int, done.stdout.split())
    assert before < size <= after < 3 * size
    assert size <= portable


def test_processor_is_named_as_linux_does(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 167\nmodel name\t: Acme 3000 @ 2 GHz\n")
    assert processor(cpuinfo) == "Acme 3000 @ 2 GHz"
    assert processor(tmp_path / "no such file")


def test_machine_is_described_for_the_file() -> None:
    machine = describe_machine(torch.device("cpu"))
    assert machine["threads"] == torch.get_num_threads()
    assert machine["gpu"] is None
    assert {"python", "torch", "timm", "numpy"} <= machine["versions"].keys()
    assert json.loads(json.dumps(machine)) == machine
