from collections.abc import Iterator

import pytest

from clflow import progress
from clflow.progress import say, track


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
