"""Build networks with their constructors in a process where zoo cannot be imported."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer
from typing import Any

from zoo.models import on_meta
from zoo.testing.isolation import no_zoo
from zoo.testing.results.result import CheckFailed

#: Maximum time for building one network, in seconds.
PATIENCE = 600.0

Shapes = Mapping[str, tuple[int, ...]]

#: The running process, keyed by its PYTHONPATH.
_processes: dict[str, subprocess.Popen[bytes]] = {}


class LinesFailed(Exception):
    """The lines failed; the message says how and where."""


def build_without_zoo(lines: Sequence[str], *, on_meta_device: bool) -> Shapes:
    """Run the lines of a constructor where zoo cannot be imported, as `run_without_zoo` does.

    Raises:
        CheckFailed: If the lines fail. The message names the line.
    """
    try:
        return run_without_zoo(lines, on_meta_device=on_meta_device)
    except LinesFailed as failure:
        raise CheckFailed(f"its constructor {failure}; correct the constructor.") from failure


def run_without_zoo(lines: Sequence[str], *, on_meta_device: bool) -> Shapes:
    """Run lines that build a network where zoo cannot be imported.

    Args:
        lines: Lines of Python that assign ``model``.
        on_meta_device: Whether to build the network on the meta device.

    Returns:
        The shapes of the network's parameters and buffers, keyed by their names.

    Raises:
        LinesFailed: If the lines fail. The message names the line.
    """
    answer = _ask({"lines": [*lines], "meta": on_meta_device})
    if "shapes" in answer:
        return {name: tuple(shape) for name, shape in answer["shapes"].items()}
    number, line = answer.get("number"), answer.get("line", "").strip()
    where = f" in line {number}, {line!r}" if number else ""
    place = "".join(f" ({place})" for place in answer.get("place", ()))
    is_zoo = re.search(r"'zoo['.]", answer["error"])
    needs_zoo = "; the constructor must work where zoo is not installed" if is_zoo else ""
    raise LinesFailed(f"{answer['error']}{where}{place}{needs_zoo}")


def _ask(request: Mapping[str, Any]) -> dict[str, Any]:
    process = _get_process(os.pathsep.join(path or str(Path.cwd()) for path in sys.path))
    assert process.stdin is not None
    assert process.stdout is not None
    timer = Timer(PATIENCE, _kill, [process])
    timer.start()
    try:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = b""
    finally:
        timer.cancel()
    if not line:
        _stop_all()
        return {"error": f"ends its process, or takes longer than {PATIENCE:.0f} seconds"}
    answer: dict[str, Any] = json.loads(line)
    return answer


def _get_process(path: str) -> subprocess.Popen[bytes]:
    """Return the process that has this PYTHONPATH; start it unless it is running. It ends when this process does."""
    if path in _processes:
        return _processes[path]
    _stop_all()
    _processes[path] = subprocess.Popen(  # noqa: S603  # our own script
        [sys.executable, "-P", str(no_zoo.__file__), str(on_meta.__file__)],
        env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    return _processes[path]


@atexit.register
def _stop_all() -> None:
    while _processes:
        _, process = _processes.popitem()
        _kill(process)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and, where the system has process groups, the constructor that it is running."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
