from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from zoo.engine.interrupts import deferring_signals, is_signal_pending


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Make Ctrl-C raise KeyboardInterrupt; processes started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_is_deferred_until_the_block_ends() -> None:
    done: list[str] = []

    def work() -> None:
        with deferring_signals():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("complete")
        done.append("too much")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["complete"]


def test_a_pending_signal_is_reported() -> None:
    found: list[bool] = []

    def work() -> None:
        with deferring_signals(), deferring_signals():
            found.append(is_signal_pending())
            os.kill(os.getpid(), signal.SIGINT)
            found.append(is_signal_pending())

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [*found, is_signal_pending()] == [False, True, False]


def test_without_an_interrupt_the_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with deferring_signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_error_propagates_and_the_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="oh"), deferring_signals():
        raise ValueError("oh")
    assert signal.getsignal(signal.SIGINT) is before


def test_nested_blocks_act_as_one() -> None:
    done: list[str] = []

    def work() -> None:
        with deferring_signals():
            with deferring_signals():
                os.kill(os.getpid(), signal.SIGINT)
            done.append("complete")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["complete"]


def test_other_threads_are_not_affected() -> None:
    done: list[str] = []

    def work() -> None:
        with deferring_signals():
            done.append("complete")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["complete"]


def test_duplicates_of_a_signal_are_ignored() -> None:
    done: list[str] = []

    def work() -> None:
        with deferring_signals():
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
            done.append("complete")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["complete"]


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with deferring_signals():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    script = f"""
import os, signal
import zoo.engine.interrupts
from zoo.engine.interrupts import deferring_signals
zoo.engine.interrupts.ECHO = -1.0
signal.signal({int(number)}, signal.SIG_DFL)  # under nohup, a process inherits an ignored SIGHUP
signal.signal(signal.SIGINT, signal.default_int_handler)
with deferring_signals():
    os.kill(os.getpid(), {int(number)})
    print("complete", flush=True)
    os.kill(os.getpid(), {int(number)})
    print("too much", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-number, "complete\n")
