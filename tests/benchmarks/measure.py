"""Runs a command as a process, and measures its duration and the memory that it and its children use."""

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
#: To detect shared pages takes 10 ms per half a gigabyte, so it is done only when the resident memory has grown by this
#: amount since the last maximum.
GROWTH = 1.05
#: Seconds to wait until killed processes are gone.
PATIENCE = 30
PROC = Path("/proc")


def measure(command: Sequence[str | Path], environment: Mapping[str, str], log: Path, timeout: float) -> dict[str, Any]:
    """Run a command, and end the processes that it leaves running.

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
    """Return the answer that a process printed, or the error."""
    lines = log.with_suffix(".out").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code == 0 and lines and lines[-1].startswith("{"):
        with suppress(json.JSONDecodeError):
            return {"answer": json.loads(lines[-1])}
    said = log.with_suffix(".err").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    killed = "killed, for want of memory perhaps; " if code == -signal.SIGKILL else ""
    return {"error": f"exit code {code}: {killed}{said[-1][:300] if said else 'said nothing'}"}


def end_session(leader: int) -> None:
    """Kill all processes of a session that was started here, and wait until they are gone."""
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
    """Measures the memory of a session periodically."""

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
    """Return the bytes that a process uses, where n processes that share a page count 1/n of it each; 0 if unknown."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
