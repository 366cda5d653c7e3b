"""Runs a command as a whole process, and measures how long it takes and how much memory it and its children hold."""

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

#: Seconds between two looks at the memory.
PERIOD = 0.25
#: Telling shared pages apart takes the system a while, 10 ms for each half a gigabyte; it is asked only when this much
#: more than ever before is resident.
GROWTH = 1.05
#: Seconds that killed processes are waited for.
PATIENCE = 30
PROC = Path("/proc")


def measure(command: Sequence[str | Path], environment: Mapping[str, str], log: Path, timeout: float) -> dict[str, Any]:
    """Run a command to its end; what it leaves running is ended.

    Returns:
        ``seconds`` from start to end, ``memory`` in bytes (None where the system does not tell), and either ``answer``,
        the JSON of the last line that it printed, or ``error``.
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
    """Return the answer that a process printed, or why there is none."""
    lines = log.with_suffix(".out").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code == 0 and lines and lines[-1].startswith("{"):
        with suppress(json.JSONDecodeError):
            return {"answer": json.loads(lines[-1])}
    said = log.with_suffix(".err").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    killed = "killed, for want of memory perhaps; " if code == -signal.SIGKILL else ""
    return {"error": f"exit code {code}: {killed}{said[-1][:300] if said else 'said nothing'}"}


def end_session(leader: int) -> None:
    """Kill all processes of a session that was started here, and wait until they are gone: the next run is measured."""
    end = time.monotonic() + PATIENCE
    while (pids := list(list_session(leader))) and time.monotonic() < end:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def list_session(leader: int) -> Iterator[int]:
    """Yield the living processes of a session: its leader, its children, and theirs."""
    if not PROC.is_dir():  # then of its leader alone it can be known
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
    """Looks at the memory of a session now and then."""

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
    """Return the bytes of a process that are in memory, also those that it shares with others; 0 where unknown."""
    with suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def read_memory(pid: int) -> int:
    """Return the bytes that a process holds; of what n processes share, as workers do, an n-th. 0 where unknown."""
    with suppress(OSError):
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
