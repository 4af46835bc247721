import pytest

from clflow.errors import ClflowError, SettingsError, unknown_name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param(
            "blot", "unknown part 'blot': did you mean 'bolt'? allowed are bolt, nut", id="near"
        ),
        pytest.param("wheel", "unknown part 'wheel': allowed are bolt, nut", id="far"),
    ],
)
def test_unknown_name_tells_what_is_allowed(name: str, message: str) -> None:
    error = unknown_name("part", name, {"nut", "bolt"})
    assert isinstance(error, SettingsError)
    assert isinstance(error, ClflowError)
    assert str(error) == message
