import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clflow import progress
from clflow.progress import say, show, track


def test_items_pass_unchanged_and_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", "letters", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == "letters: done (3)\n"


def test_long_work_is_told_at_intervals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 0.0

    def work() -> Iterator[int]:
        nonlocal seconds
        for item in range(6):
            seconds += 4
            yield item

    monkeypatch.setattr(progress.time, "monotonic", lambda: seconds)
    assert list(track(work(), "work", 6)) == list(range(6))
    assert capsys.readouterr().out == "work: 3/6\nwork: done (6)\n"


def test_items_are_taken_one_by_one() -> None:
    taken: list[int] = []
    tracked = track((taken.append(item) or item for item in range(3)), "lazy", 3)
    assert taken == []
    assert next(tracked) == 0
    assert taken == [0]


def test_a_line_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold] is not markup")
    assert capsys.readouterr().out == "[bold] is not markup\n"


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave progress as a program finds it that does not ask for it."""
    monkeypatch.setattr(progress, "_shown", False)


@pytest.mark.usefixtures("hidden")
def test_nothing_is_printed_unless_a_program_shows_it(capfd: pytest.CaptureFixture[str]) -> None:
    say("hidden")
    with show():
        with show():
            say("shown")
        say("still shown")
    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert capfd.readouterr() == ("shown\nstill shown\n", "")


@pytest.mark.usefixtures("hidden")
def test_an_error_ends_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), show():
        1 / 0  # noqa: B018
    say("hidden")
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("hidden")
def test_a_terminal_gets_no_bar_either(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("hidden")
def test_messages_that_are_not_shown_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        say("100 % of [all] images")
        assert list(track("ab", "letters", 2)) == ["a", "b"]
    assert caplog.record_tuples == [
        ("clflow", logging.INFO, "100 % of [all] images"),
        ("clflow", logging.INFO, "letters: done (2)"),
    ]


def test_what_is_shown_does_not_depend_on_logging(capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # as around calls into MLflow
    try:
        say("seen")
    finally:
        logging.disable(before)
    assert capsys.readouterr().out == "seen\n"


FIT = """
import logging, sys
from flow_cases import seeded, small_settings, training_data
from clflow.detectors.flow.detector import FlowDetector

if sys.argv[1] == "logged":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s: %(message)s")
data = training_data()
FlowDetector(small_settings("clflow")).fit(data, seeded()).score(data.good)
"""


@pytest.mark.parametrize("how", ["silent", "logged"])
def test_fitting_and_scoring_in_a_program_of_ones_own(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIT, how],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert ("clflow: training: done (6)" in done.stdout.splitlines()) == (how == "logged")
    assert (done.stdout == "") == (how == "silent")
