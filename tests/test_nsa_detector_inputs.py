"""What the bank knows of its category reaches the detector."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cloth import study

from clflow.errors import DataError
from clflow.pipeline.inputs import training_data
from clflow.synthesis.background import decide
from clflow.synthesis.bank import SUMMARY, decide_on, write_bank
from clflow.synthesis.settings import SynthesizeSettings
from clflow.synthesis.training_data import Category, TrainingData

SMALL: dict[str, Any] = {"image_size": 64, "per_image": 1, "validation_per_image": 0}


def with_bank(root: Path, dataset: str, **changes: Any) -> tuple[TrainingData, Any]:
    """Return the training data of a bank that was just written, and the bank's decision."""
    manifest, settings = study(root), SynthesizeSettings(**SMALL | changes)
    write_bank(manifest, root, root / "bank", dataset, settings)
    expected = decide_on(manifest, root, dataset, settings)
    return training_data(manifest, root, root / "bank"), expected


@pytest.mark.parametrize("kind", ["auto", "texture"])
def test_category_is_that_of_the_bank(kind: str, tmp_path: Path) -> None:
    data, expected = with_bank(tmp_path, "mine", kind=kind, nsa={"patches": 2})
    assert data.category is not None
    assert (data.category.dataset, data.category.name) == ("mine", "cloth")
    assert data.category.decision == expected
    assert data.category.synthesize.nsa.patches == 2


@pytest.mark.parametrize(("name", "kind"), [("screw", "object"), ("carpet", "texture")])
def test_a_listed_class_is_decided_by_the_table(name: str, kind: str, tmp_path: Path) -> None:
    data, _ = with_bank(tmp_path, "mine")
    summary = tmp_path / "bank" / SUMMARY
    values = json.loads(summary.read_text())
    listed = {"dataset": "mvtec_ad", "category": name, "background": None}
    summary.write_text(json.dumps(values | listed))
    found = training_data(study(tmp_path), tmp_path, tmp_path / "bank").category
    assert isinstance(found, Category)
    assert found.decision == decide("mvtec_ad", name, SynthesizeSettings(), ())
    assert found.decision.kind == kind
    assert data.category != found


def test_bank_without_a_summary_tells_nothing(tmp_path: Path) -> None:
    with_bank(tmp_path, "mine")
    (tmp_path / "bank" / SUMMARY).unlink()
    assert training_data(study(tmp_path), tmp_path, tmp_path / "bank").category is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"dataset": "mine"}',
        '{"dataset": "m", "category": "c", "synthesize": {"sede": 1}, "background": null}',
        '{"dataset": "m", "category": "c", "synthesize": {}, "background": {"kind": "object"}}',
    ],
)
def test_damaged_summary_is_told(text: str, tmp_path: Path) -> None:
    with_bank(tmp_path, "mine")
    (tmp_path / "bank" / SUMMARY).write_text(text)
    with pytest.raises(DataError, match="run the synthesize stage again"):
        training_data(study(tmp_path), tmp_path, tmp_path / "bank")


def test_negatives_can_be_sent_to_another_process(tmp_path: Path) -> None:
    negatives = with_bank(tmp_path, "mine")[0].anomalies
    assert negatives is not None
    sent = pickle.loads(pickle.dumps(negatives))
    np.testing.assert_array_equal(sent.masks(0), negatives.masks(0))
    np.testing.assert_array_equal(sent.images[0], negatives.images[0])
