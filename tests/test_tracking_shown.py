"""What a reader of MLflow's pages sees of a run: name, times, tags, note, data sets, kind."""

from pathlib import Path

import pytest
from tracked_study import (
    TRACKING_MARKS,
    UNIT,
    data_of,
    describe,
    note_of,
    own_tags,
    runs_of,
    seed_folder,
    write_manifest_of,
    write_model,
    write_result,
    write_study,
)

from clflow.errors import DataError
from clflow.files import write_json
from clflow.tracking.runs import KEY, KIND, METHOD, log_evaluation, log_training
from clflow.tracking.store import EXPERIMENT_KIND, MODEL_TRAINING, open_store, tracking_uri
from clflow.tracking.sync import SyncReport, sync

pytestmark = TRACKING_MARKS


def kind_of(root: Path) -> str:
    from mlflow import MlflowClient

    experiment = MlflowClient(tracking_uri=tracking_uri(root)).get_experiment_by_name("demo")
    return str(experiment.tags[EXPERIMENT_KIND])


def test_names_tell_method_category_and_seed_apart(root: Path) -> None:
    for category, seed in (("bolt", 0), ("bolt", 1), ("nut", 0)):
        write_model(root, seed, category)
        folder = root / "models/demo/fastflow" / category / f"seed-{seed}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        seed_folder(root, seed, category).rename(folder)
        write_json(folder / "run.json", describe(seed, category, "demo") | {"method": "fastflow"})
        write_model(root, seed, category)
    sync(root)
    places = ("bolt/seed-0", "bolt/seed-1", "nut/seed-0")
    names = [f"{method}/{place}" for method in ("clflow", "fastflow") for place in places]
    assert [run.info.run_name for run in runs_of(root, "run")] == names
    assert [run.info.run_name for run in runs_of(root, "method")] == [
        "clflow/mean",
        "fastflow/mean",
    ]


def test_a_run_lasts_as_long_as_its_training(root: Path) -> None:
    for seed in (0, 1):
        write_model(root, seed)
        log_training(root, *UNIT, seed, seconds=12.25 + seed)
    runs = runs_of(root, "run")
    for seed, run in enumerate(runs):
        written = (seed_folder(root, seed) / "run.json").stat().st_mtime_ns // 1_000_000
        assert run.info.end_time == written
        assert run.info.end_time - run.info.start_time == 12_250 + 1000 * seed
        assert run.data.metrics["training_seconds"] == 12.25 + seed
        assert f"Trained for {12.25 + seed:.1f} s on cpu." in note_of(run)
    (parent,) = runs_of(root, "method")
    assert parent.info.start_time == runs[0].info.start_time
    assert parent.info.end_time == max(run.info.end_time for run in runs)


def test_times_outlive_the_store_and_leave_the_outputs_as_they_are(root: Path) -> None:
    write_model(root)
    before = {path: path.read_bytes() for path in seed_folder(root).iterdir()}
    store = (root / "mlflow.db").read_bytes()
    log_training(root, *UNIT, 0, seconds=7.5)
    assert {path: path.read_bytes() for path in seed_folder(root).iterdir()} == before
    (root / "mlflow.db").write_bytes(store)
    assert sync(root).created
    (run,) = runs_of(root, "run")
    assert run.info.end_time - run.info.start_time == 7500


def test_without_a_noted_time_a_run_has_that_of_its_files_and_says_so(root: Path) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    (run,) = runs_of(root, "run")
    written = (seed_folder(root) / "run.json").stat().st_mtime_ns // 1_000_000
    assert (run.info.start_time, run.info.end_time) == (written, written)
    assert "training_seconds" not in run.data.metrics
    assert "how long is not known" in note_of(run)


def test_a_damaged_note_of_times_is_an_error(root: Path) -> None:
    write_model(root)
    log_training(root, *UNIT, 0, seconds=7.5)
    (path,) = (root / ".clflow/times").iterdir()
    path.write_text("{}")
    with pytest.raises(DataError, match="delete it"):
        sync(root)


def test_tags_are_few_and_short(root: Path) -> None:
    write_study(root)
    (seed_folder(root) / "alignment.png").write_bytes(b"sheet")
    sync(root)
    for kind in ("method", "run", "tables"):
        for run in runs_of(root, kind):
            assert len(own_tags(run)) <= 10
            assert all(len(value) <= 32 for value in own_tags(run).values())
    wanted = {"study": "demo", "method": "clflow", "category": "bolt", "seed": "0", "kind": "run"}
    wanted["failed"] = "false"
    tags = own_tags(runs_of(root, "run")[0])
    assert {f"clflow.{name}": value for name, value in wanted.items()}.items() <= tags.items()


def test_the_note_says_what_was_made_from_what(root: Path) -> None:
    write_study(root)
    log_evaluation(root, *UNIT)
    note = note_of(runs_of(root, "run")[1])
    assert note.startswith("**clflow** on **bolt** of data set demo, seed 1.")
    assert "| images | `data/manifests/demo/bolt.csv` | `m1` |" in note
    assert "| `data/bank/demo/bolt/train/manifest.jsonl` | `b1` |" in note
    assert "`models/demo/clflow/bolt/seed-1/model.safetensors`" in note
    assert "7 test good" in note
    assert len(note) < 2000


def test_data_sets_are_named_by_digest_and_counted(root: Path) -> None:
    manifest = write_manifest_of(root)
    write_study(root)
    description = describe(0, "bolt", "demo") | {"digests": {"manifest": manifest.digest}}
    write_json(seed_folder(root) / "run.json", description)
    counts = {"test_good": 7, "test_anomalous": 5, "train_good": 3}
    write_result(root, {"0": {"image_auroc": 0.5}}, counts=counts)
    log_evaluation(root, *UNIT)
    (run,) = runs_of(root, "run")
    used = data_of(run)
    assert used.keys() == {"training", "testing"}
    assert {data.digest for data in used.values()} == {manifest.digest[:16]}
    assert [data.name for data in used.values()] == ["demo/bolt/train", "demo/bolt/test"]
    assert {data.source for data in used.values()} == {'{"uri": "data/manifests/demo/bolt.csv"}'}
    train = '{"num_rows": 4, "train_good": 3, "validation_good": 1}'
    assert used["training"].profile == train
    assert used["testing"].profile == '{"num_rows": 12, "test_anomalous": 5, "test_good": 7}'
    assert str(root) not in str([data.to_proto() for data in used.values()])
    (parent,) = runs_of(root, "method")
    assert data_of(parent)["training"].name == "demo/bolt/train"


def test_images_of_another_manifest_are_not_counted(root: Path) -> None:
    write_manifest_of(root)
    write_model(root)
    log_training(root, *UNIT, 0)
    data = data_of(runs_of(root, "run")[0])["training"]
    assert (data.digest, data.profile) == ("m1", None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, MODEL_TRAINING),
        ("genai_development_inferred", MODEL_TRAINING),
        ("classification", "classification"),
    ],
)
def test_experiments_are_of_model_training(root: Path, before: str | None, after: str) -> None:
    from mlflow import MlflowClient

    tags = {} if before is None else {EXPERIMENT_KIND: before}
    client = MlflowClient(tracking_uri=tracking_uri(root))
    client.create_experiment("demo", (root / "mlruns/demo").as_uri(), tags)
    write_model(root)
    log_training(root, *UNIT, 0)
    assert kind_of(root) == after


def test_a_new_experiment_is_of_model_training(root: Path) -> None:
    write_model(root)
    log_training(root, *UNIT, 0)
    assert kind_of(root) == MODEL_TRAINING


def test_runs_of_an_earlier_version_give_way_and_their_parents_stay(root: Path) -> None:
    from clflow.study.training import load_training

    write_model(root)
    key = load_training(root, *UNIT, 0).key
    with open_store(root) as store:
        experiment = store.experiment("demo")
        parent = store.start(experiment, "clflow", {KIND: "method", METHOD: "clflow"}, 1)
        tags = {KIND: "run", "mlflow.parentRunId": parent.id}
        old = store.start(experiment, "bolt/seed-0", tags | {KEY: key}, 1)
        other = store.start(experiment, "bolt/seed-0", tags | {KEY: "of no file"}, 1)
        for entry in (parent, old, other):
            store.finish(entry, 2)
    assert sync(root) == SyncReport(created=1, updated=0, unchanged=0)
    assert sync(root) == SyncReport(created=0, updated=0, unchanged=1)
    (method,) = runs_of(root, "method")
    assert (method.info.run_id, method.info.run_name) == (parent.id, "clflow/mean")
    kept, new = runs_of(root, "run")
    assert (kept.info.run_id, new.info.run_name) == (other.id, "clflow/bolt/seed-0")
