"""Points during saving at which a process kills itself or finds the disk full."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from zoo.files import atomic as durable
from zoo.runs import model_file as tensors


class Points:
    """A counter of the points that this process passes. At one of them, the process kills itself or finds a full disk.

    A process passes a point after it has opened, half written, written, flushed or renamed a file, and before it
    removes an old file.

    Args:
        fatal: Number of the fatal point, starting at 1, or None.
        disk_is_full: Whether the fatal point raises the error of a full disk instead of killing the process.
    """

    def __init__(self, fatal: int | None, *, disk_is_full: bool = False) -> None:
        self.passed: list[str] = []
        self._fatal = fatal
        self._disk_is_full = disk_is_full

    def reach(self, name: str) -> None:
        """Pass a point, or fail there if it is the fatal one."""
        self.passed.append(name)
        if len(self.passed) != self._fatal:
            return
        if self._disk_is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Add the points to all files that this process writes from now on."""
        tensors.save_file = self._save_file  # type: ignore[assignment]
        self._around_file_and_folder(durable._synchronize)
        unlink = Path.unlink

        def remove(path: Path, *args: Any, **kwargs: Any) -> None:
            if not path.name.startswith(durable.PREFIX):
                self.reach("removing")
            unlink(path, *args, **kwargs)

        Path.unlink = remove  # type: ignore[method-assign]

    def _save_file(self, state: dict[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
        content = save(state, dict(metadata))
        with path.open("wb") as file:
            self.reach("opened")
            file.write(content[: len(content) // 2])
            file.flush()
            self.reach("half")
            file.write(content[len(content) // 2 :])

    def _around_file_and_folder(self, synchronize: Callable[[Path], None]) -> None:
        def around(path: Path) -> None:
            self.reach("renamed" if path.is_dir() else "written")
            synchronize(path)
            if not path.is_dir():
                self.reach("synchronized")

        durable._synchronize = around
