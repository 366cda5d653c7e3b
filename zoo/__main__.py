"""The process: ``python -m zoo``, and the script ``zoo``."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

from zoo.garbage import lasting

with lasting():
    from zoo.cli import main


def run() -> NoReturn:
    """Run the command line, and end the process without taking it apart: with torch in it that takes a second."""
    status: list[int] = []
    atexit.register(_vanish, status)  # called after all that is registered from here on: by torch, by trackers
    try:
        main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status.append(end.code or 0)
        raise


def _vanish(status: list[int]) -> None:
    """End at once; where there is something to say, a message or that nobody reads any more, Python says it."""
    if not status:
        return
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None where the shell closed it
            stream.flush()
    except (OSError, ValueError):
        return
    os._exit(status[0])


if __name__ == "__main__":
    run()
