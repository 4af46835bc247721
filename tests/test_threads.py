"""Work spread over threads: all of it done, errors passed on, torch's threads as before."""

import pytest
import torch

from clflow.detectors.whitening import each_on_one_thread


def test_every_item_is_done_with_one_thread() -> None:
    seen: dict[int, int] = {}
    before = torch.get_num_threads()

    def work(item: int) -> None:
        seen[item] = torch.get_num_threads()

    each_on_one_thread(work, range(7))
    assert seen == dict.fromkeys(range(7), 1)
    assert torch.get_num_threads() == before


def test_an_error_is_passed_on_and_the_threads_are_restored() -> None:
    before = torch.get_num_threads()

    def fail(item: int) -> None:
        raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match="item 0"):
        each_on_one_thread(fail, range(3))
    assert torch.get_num_threads() == before
