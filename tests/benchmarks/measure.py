"""Run a command as a process, and measure its duration and the memory that it and its children use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Seconds between two measurements of the memory.
PERIOD = 0.25
#: Factor by which the resident memory must exceed its last maximum before shared pages are counted again. Counting them
#: takes 10 ms per half a gigabyte.
GROWTH = 1.05
#: Timeout in seconds for killed processes to end.
PATIENCE = 30
PROC = Path("/proc")


def measure(command: Sequence[str | Path], environment: Mapping[str, str], log: Path, timeout: float) -> dict[str, Any]:
    """Run a command, and kill the processes that it leaves running.

    Returns:
        ``seconds`` from start to end, ``memory`` in bytes (None if the system does not report it), and either
        ``answer``, which is the JSON in the last line of the output, or ``error``.
    """
    with log.with_suffix(".out").open("w+b") as out, log.with_suffix(".err").open("w+b") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), env=dict(environment), stdout=out, stderr=err, start_new_session=True
        )
        late = threading.Event()

        def end() -> None:
            late.set()
            end_session(process.pid)

        memory, clock = Memory(process.pid), threading.Timer(timeout, end)
        memory.start()
        clock.start()
        try:
            code = process.wait()
            seconds = time.perf_counter() - start
        finally:
            clock.cancel()
            memory.stop()
            end_session(process.pid)
    took = {"seconds": round(seconds, 3), "memory": memory.peak or None}
    return {**took, **({"error": f"timed out after {timeout:g} s"} if late.is_set() else read_answer(log, code))}


def read_answer(log: Path, code: int) -> dict[str, Any]:
    """Return the answer that a process printed, or a description of its failure."""
    lines = log.with_suffix(".out").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code == 0 and lines and lines[-1].startswith("{"):
        with suppress(json.JSONDecodeError):
            return {"answer": json.loads(lines[-1])}
    errors = log.with_suffix(".err").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    killed = "killed, possibly because memory ran out; " if code == -signal.SIGKILL else ""
    return {"error": f"exit code {code}: {killed}{errors[-1][:300] if errors else 'no output on stderr'}"}


def end_session(leader: int) -> None:
    """Kill all processes of a session that this process started, and wait until they have ended."""
    end = time.monotonic() + PATIENCE
    while (pids := list(list_session(leader))) and time.monotonic() < end:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def list_session(leader: int) -> Iterator[int]:
    """Yield the running processes of a session: its leader and all descendants."""
    if not PROC.is_dir():  # without /proc, only the leader is known
        with suppress(ProcessLookupError):
            os.kill(leader, 0)
            yield leader
        return
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                yield int(folder.name)


class Memory(threading.Thread):
    """A thread that measures the memory of a session periodically."""

    def __init__(self, leader: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._leader = leader
        self._end = threading.Event()

    def run(self) -> None:
        highest = 0
        while not self._end.wait(PERIOD):
            processes = list(list_session(self._leader))
            resident = sum(map(read_resident, processes))
            if resident > highest * GROWTH:
                highest = resident
                self.peak = max(self.peak, sum(map(read_memory, processes)))

    def stop(self) -> None:
        self._end.set()
        self.join()


def read_resident(pid: int) -> int:
    """Return the resident bytes of a process, including shared pages; 0 if unknown."""
    with suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def read_memory(pid: int) -> int:
    """Return the bytes that a process uses; 0 if unknown. A page that n processes share counts as 1/n in each."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
