"""Start the run in a separate process, interrupt it by a fault, and resume it."""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from points import Points
from safetensors import SafetensorError
from safetensors.torch import load_file
from toy import EVERY, run

from zoo.cli import main
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.folder import CHECKPOINTS, RUN

#: Timeout in seconds for a process that should have ended.
PATIENCE = 120
#: Exit code of a process that was interrupted before the run began.
NEVER = 99
#: Function that disables a safeguard; see ``teeth``.
Weakness = Callable[[], None]


def keep_safeguards() -> None:
    """Disable no safeguard."""


@dataclass(frozen=True)
class Fault:
    """A fault that ends a process: a signal after some seconds, SIGKILL at a point, or a full disk."""

    #: Seconds until the signal is sent.
    seconds: float = PATIENCE
    signal: signal.Signals = signal.SIGKILL
    #: Whether the signal goes to the process group, as it does from a terminal.
    to_group: bool = False
    #: Number of the point at which the process kills itself, starting at 1.
    point: int | None = None
    #: Whether the disk is full at this point instead.
    disk_is_full: bool = False
    #: Largest file size in bytes that the process may write, to imitate a full disk.
    room: int | None = None


class Counter:
    """A number that a process shares with its children."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def value(self) -> int:
        (number,) = struct.unpack("q", self._memory[:8])
        return int(number)

    def set(self, value: int) -> None:
        self._memory[:8] = struct.pack("q", value)


def _is_readable(path: Path) -> bool:
    """Return whether a file of a run can be read completely."""
    try:
        if path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix in (".json", ".jsonl"):
            lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text()]
            list(map(json.loads, lines))
    except (OSError, SafetensorError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Trial:
    """A run, and the numbers that its processes report."""

    photos: Path
    output: Path
    weaken: Weakness = keep_safeguards
    options: dict[str, Any] = field(default_factory=dict)
    #: Numbers of steps taken and of points passed so far.
    steps: Counter = field(default_factory=Counter)
    points: Counter = field(default_factory=Counter)

    def begin(self, fault: Fault | None = None) -> tuple[int, float]:
        """Start or resume the run in a child process.

        Returns:
            The exit code, or the negative signal number, and the seconds from the signal to the end of the process.
        """
        fault = fault or Fault()
        # If SIGINT arrived here, the child would continue with the code of the parent.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        child = os.fork()
        if child == 0:
            self._work(fault)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        sent: list[float] = []

        def end() -> None:
            sent.append(time.monotonic())
            (os.killpg if fault.to_group else os.kill)(child, fault.signal)

        clock = threading.Timer(fault.seconds, end)
        clock.start()
        _, status = os.waitpid(child, 0)
        clock.cancel()
        return os.waitstatus_to_exitcode(status), time.monotonic() - sent[0] if sent else 0.0

    def _work(self, fault: Fault) -> None:
        """Run in the child process. This function ends the process."""
        status = NEVER
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            os.setsid()
            points = Points(fault.point, disk_is_full=fault.disk_is_full)
            if fault.room is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit then raises an error
                resource.setrlimit(resource.RLIMIT_FSIZE, (fault.room, fault.room))
            points.install()
            self.weaken()
            with self.output.with_name(f"{self.output.name}-log").open("a") as log:
                os.dup2(log.fileno(), sys.stdout.fileno())
                os.dup2(log.fileno(), sys.stderr.fileno())
                status = 1
                run(self.photos, self.output, self.steps.set, **self.options)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            self.points.set(len(points.passed))
        except KeyboardInterrupt as interrupt:
            has_begun = any(frame.f_code is main.__code__ for frame, _ in traceback.walk_tb(interrupt.__traceback__))
            status = status if has_begun else NEVER  # the signal arrived before the command line started
        finally:
            os._exit(status)

    def find_failure(self, allowed: int) -> str | None:
        """Return what is wrong with the files of the run, or None.

        Args:
            allowed: Largest number of steps that may be missing from the newest checkpoint.
        """
        folder, taken = self.output / CHECKPOINTS, self.steps.value
        if unreadable := [path.name for path in self.output.glob("[!.]*") if not _is_readable(path)]:
            return f"unreadable files: {', '.join(unreadable)}"
        if (self.output / RUN).exists():
            return None  # the run is finished
        if not folder.is_dir():
            return None if taken < EVERY else "the checkpoints are missing"
        saved, warnings = Checkpoints(folder).load()
        if warnings:
            return warnings[0].rpartition("/")[2]
        state = saved.facts["state"] if saved else {"done": 0}
        lost = taken - state["done"] - state.get("lap", {"step": 0})["step"]
        return f"{lost} steps were lost" if lost > allowed else None
