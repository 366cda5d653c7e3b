"""The threads that decode images leave the settings of torch as they were."""

from __future__ import annotations

import threading

import torch

from zoo.data.decoding_threads import start_threads


def test_operators_are_single_threaded_in_these_threads_only() -> None:
    torch.set_num_threads(3)
    try:
        with start_threads(2, "decode") as pool:
            assert pool.submit(torch.get_num_threads).result() == 1
            assert torch.get_num_threads() == 3
            assert pool.submit(lambda: threading.current_thread().name).result().startswith("decode")
    finally:
        torch.set_num_threads(1)
