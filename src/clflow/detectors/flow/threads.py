"""Work on many small matrices, spread over threads."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")


def each_on_one_thread(work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Do the work of each item, as many at once as torch has threads, each on one of them.

    LAPACK takes small matrices one after another and cannot use more threads for one.
    """
    count = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for _ in pool.map(work, items):
                pass
    finally:
        torch.set_num_threads(count)
