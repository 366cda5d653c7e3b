from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from zoo.engine.interrupts import is_put_off, undisturbed


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise: tests started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_until_the_block_is_over() -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("whole")
        done.append("too much")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["whole"]


def test_what_waits_can_be_asked_for() -> None:
    found: list[bool] = []

    def work() -> None:
        with undisturbed(), undisturbed():
            found.append(is_put_off())
            os.kill(os.getpid(), signal.SIGINT)
            found.append(is_put_off())

    with pytest.raises(KeyboardInterrupt):
        work()
    assert [*found, is_put_off()] == [False, True, False]


def test_without_an_interrupt_nothing_is_changed() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with undisturbed():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_an_error_comes_through_and_the_handlers_are_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="oh"), undisturbed():
        raise ValueError("oh")
    assert signal.getsignal(signal.SIGINT) is before


def test_blocks_within_blocks_are_one() -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            with undisturbed():
                os.kill(os.getpid(), signal.SIGINT)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["whole"]


def test_other_threads_are_let_alone() -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            done.append("whole")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["whole"]


def test_the_echo_of_a_signal_is_none() -> None:
    done: list[str] = []

    def work() -> None:
        with undisturbed():
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGINT)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["whole"]


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_one_ends_the_process_at_once(number: signal.Signals) -> None:
    script = f"""
import os, signal
import zoo.engine.interrupts
from zoo.engine.interrupts import undisturbed
zoo.engine.interrupts.ECHO = -1.0
signal.signal({int(number)}, signal.SIG_DFL)  # under nohup a process inherits that SIGHUP is ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
with undisturbed():
    os.kill(os.getpid(), {int(number)})
    print("whole", flush=True)
    os.kill(os.getpid(), {int(number)})
    print("too much", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (-number, "whole\n")
