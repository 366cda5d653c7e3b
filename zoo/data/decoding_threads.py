"""Threads that decode images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch


def start_threads(count: int, name: str) -> ThreadPoolExecutor:
    """Start threads in which torch's operators run single-threaded, which is faster for many small images.

    Args:
        count: Number of threads.
        name: Beginning of the names of the threads.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(count, thread_name_prefix=name, initializer=_be_single_threaded)
    barrier = Barrier(count)  # The barrier makes the pool start all of its threads now.
    list(pool.map(lambda _: barrier.wait(), range(count)))
    torch.set_num_threads(threads)  # The value that a thread sets is also the default of threads started later.
    return pool


def _be_single_threaded() -> None:
    torch.get_num_threads()  # The first operator of a thread sets the default number, unless this was done before.
    torch.set_num_threads(1)
