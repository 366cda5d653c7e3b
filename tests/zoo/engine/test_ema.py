from __future__ import annotations

import os
import signal

import pytest
import torch

from zoo.engine.ema import MovingAverage
from zoo.engine.interrupts import deferring_signals


def test_the_average_follows_the_weights_with_its_decay() -> None:
    weights = torch.zeros(3)
    average = MovingAverage({"w": weights}, 0.9)
    expected = 0.0
    for step in range(1, 200):
        weights += 1
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    torch.testing.assert_close(average.tensors["w"], torch.full((3,), expected))


def test_the_model_holds_the_average_only_within_the_block() -> None:
    weights, count = torch.zeros(3), torch.tensor(4)
    average = MovingAverage({"w": weights, "count": count}, 0.5)
    weights += 2
    average.update(100)
    with average.in_place():
        torch.testing.assert_close(weights, torch.ones(3))
    torch.testing.assert_close(weights, torch.full((3,), 2.0))
    torch.testing.assert_close(average.tensors["w"], torch.ones(3))
    assert set(average.tensors) == {"w"}  # integers have no average


def test_the_weights_are_restored_after_an_exception() -> None:
    weights = torch.zeros(3)
    average = MovingAverage({"w": weights}, 0.5)
    weights += 2
    with pytest.raises(KeyboardInterrupt), average.in_place():
        raise KeyboardInterrupt
    torch.testing.assert_close(weights, torch.full((3,), 2.0))


def test_an_interrupted_swap_is_reversed(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.zeros(3)
    average = MovingAverage({"w": weights}, 0.5)
    weights += 2
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    swap = MovingAverage._swap

    def interrupt(self: MovingAverage) -> None:
        monkeypatch.undo()
        with deferring_signals():
            os.kill(os.getpid(), signal.SIGINT)
            swap(self)

    monkeypatch.setattr(MovingAverage, "_swap", interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), average.in_place():
            pytest.fail("the block must not run")
    finally:
        signal.signal(signal.SIGINT, before)
    torch.testing.assert_close(weights, torch.full((3,), 2.0))


def test_tensors_that_are_not_finite_are_left_out() -> None:
    mask = torch.full((2,), -float("inf"))
    average = MovingAverage({"mask": mask, "w": torch.zeros(1)}, 0.5)
    average.update(10)
    assert set(average.tensors) == {"w"}
