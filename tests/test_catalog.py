from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from clflow.data.catalog import Dataset, dataset_names, load_dataset
from clflow.errors import SettingsError

ENTRIES = [pytest.param(load_dataset(name), id=name) for name in dataset_names()]


def test_the_catalog_holds_the_three_public_data_sets() -> None:
    assert dataset_names() == ("btad", "mvtec_ad", "visa")


@pytest.mark.parametrize("dataset", ENTRIES)
def test_urls_are_distinct_https_files(dataset: Dataset) -> None:
    assert len(set(dataset.urls)) == len(dataset.urls)
    for url in map(urlsplit, dataset.urls):
        assert url.scheme == "https"
        assert url.path.endswith(f"/{dataset.archive}")


@pytest.mark.parametrize("dataset", ENTRIES)
def test_entries_are_complete(dataset: Dataset) -> None:
    assert len(set(dataset.sha256)) > 8  # not a placeholder
    assert dataset.size is None or dataset.size > 1e9
    assert dataset.homepage is None or dataset.homepage.startswith("https://")
    assert dataset.categories == tuple(sorted(set(dataset.categories)))


@pytest.mark.parametrize(
    ("name", "count"), [("mvtec_ad", 15), ("btad", 3), ("visa", 12)], ids=["mvtec", "btad", "visa"]
)
def test_number_of_categories(name: str, count: int) -> None:
    assert len(load_dataset(name).categories) == count


def test_btad_categories_stay_text() -> None:
    assert load_dataset("btad").categories == ("01", "02", "03")


def test_unclear_licence_is_said() -> None:
    assert "unclear" in load_dataset("btad").licence
    assert "non-commercial" in load_dataset("btad").licence


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"unknown data set 'mvtec': did you mean 'mvtec_ad'"):
        load_dataset("mvtec")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sha256": "d8bb2800fbf3ac88e798da6ae10dc819"}, id="md5"),
        pytest.param({"archive": "../archive.zip"}, id="archive leaves the folder"),
        pytest.param({"urls": []}, id="no mirror"),
        pytest.param({"mirror": "https://127.0.0.1"}, id="unknown field"),
    ],
)
def test_malformed_entry_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Dataset.model_validate(load_dataset("visa").model_dump() | change)
