"""``zoo check`` that is interrupted while a worker process is busy."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from checked_plugins import SOURCE, install

#: A builder that reports its process and then keeps it busy forever.
BUSY = """def build(tag=None):
    import os

    file = open(os.environ["STARTED"], "w")
    print(os.getpid(), file=file, flush=True)
    while True:
        sum(range(1000))


"""


@contextmanager
def started(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Start ``zoo check`` on a busy network. Yield the process, and a pipe that closes when the busy worker ends."""
    own = SOURCE[SOURCE.index("def build") : SOURCE.index("def spec")]
    install("acme", SOURCE.replace(own, BUSY).replace("LISTED", "spec('acme/net')"), folder)
    os.mkfifo(folder / "started")
    pipe = os.open(folder / "started", os.O_RDONLY | os.O_NONBLOCK)
    environment = {**os.environ, "PYTHONPATH": str(folder), "STARTED": str(folder / "started")}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test in the background would ignore SIGINT
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "check", "acme", "--level", "meta", *options],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    try:
        assert int(read(pipe)) != process.pid
        yield process, pipe
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        os.close(pipe)


def read(pipe: int) -> bytes:
    """Read the next bytes; none if the other end is closed. Fail after a minute."""
    ready, _, _ = select.select([pipe], [], [], 60)
    assert ready
    return os.read(pipe, 100)


@pytest.mark.parametrize(
    ("send", "number", "code", "said"),
    [
        (os.killpg, signal.SIGINT, 130, "interrupted; no results were saved; pass --save FILE to be able to continue"),
        pytest.param(
            os.kill,
            signal.SIGTERM,
            143,
            "interrupted; no results were saved; pass --save FILE to be able to continue",
            marks=pytest.mark.breadth,
        ),
        pytest.param(os.kill, signal.SIGKILL, -9, "", marks=pytest.mark.breadth),
    ],
    ids=["ctrl-c", "sigterm", "sigkill"],
)
def test_the_worker_ends_with_the_command(
    tmp_path: Path, send: Callable[[int, int], None], number: int, code: int, said: str
) -> None:
    with started(tmp_path) as (process, pipe):
        send(process.pid, number)
        assert read(pipe) == b""
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (code, "")
    assert stderr.startswith(said)
    assert stderr.count("\n") == bool(said)


@pytest.mark.breadth
def test_an_interrupt_reports_what_was_saved(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.touch()
    with started(tmp_path, "--save", str(kept)) as (process, _):
        process.terminate()
        _, stderr = process.communicate(timeout=60)
    assert stderr == f"interrupted; {kept} contains the results so far; run the same command again to continue\n"
