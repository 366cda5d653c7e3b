from __future__ import annotations

import os
import signal

import pytest
import torch

from zoo.engine.ema import MovingAverage
from zoo.engine.interrupts import undisturbed


def test_it_follows_the_weights_by_its_decay() -> None:
    live = torch.zeros(3)
    average = MovingAverage({"w": live}, 0.9)
    wanted = 0.0
    for step in range(1, 200):
        live += 1
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * step
    torch.testing.assert_close(average.tensors["w"], torch.full((3,), wanted))


def test_in_place_it_is_what_the_model_holds_and_then_no_more() -> None:
    live, count = torch.zeros(3), torch.tensor(4)
    average = MovingAverage({"w": live, "count": count}, 0.5)
    live += 2
    average.update(100)
    with average.in_place():
        torch.testing.assert_close(live, torch.ones(3))
    torch.testing.assert_close(live, torch.full((3,), 2.0))
    torch.testing.assert_close(average.tensors["w"], torch.ones(3))
    assert set(average.tensors) == {"w"}  # a count has no average


def test_whatever_ends_the_block_the_weights_come_back() -> None:
    live = torch.zeros(3)
    average = MovingAverage({"w": live}, 0.5)
    live += 2
    with pytest.raises(KeyboardInterrupt), average.in_place():
        raise KeyboardInterrupt
    torch.testing.assert_close(live, torch.full((3,), 2.0))


def test_an_interrupt_within_the_swap_is_no_swap(monkeypatch: pytest.MonkeyPatch) -> None:
    live = torch.zeros(3)
    average = MovingAverage({"w": live}, 0.5)
    live += 2
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    swap = MovingAverage._swap

    def disturb(self: MovingAverage) -> None:
        monkeypatch.undo()
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            swap(self)

    monkeypatch.setattr(MovingAverage, "_swap", disturb)
    try:
        with pytest.raises(KeyboardInterrupt), average.in_place():
            pytest.fail("the block is not begun")
    finally:
        signal.signal(signal.SIGINT, before)
    torch.testing.assert_close(live, torch.full((3,), 2.0))


def test_what_has_no_average_is_left_out() -> None:
    mask = torch.full((2,), -float("inf"))
    average = MovingAverage({"mask": mask, "w": torch.zeros(1)}, 0.5)
    average.update(10)
    assert set(average.tensors) == {"w"}
