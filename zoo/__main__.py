"""The process: ``python -m zoo``, and the script ``zoo``."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn

from zoo.cli import main


def run() -> NoReturn:
    """Run the command line, and end the process without taking it apart: with torch in it that takes a second."""
    status: list[int] = []
    atexit.register(_vanish, status)  # before all others, so that it is called after them
    try:
        main()
    except SystemExit as end:
        status.append(end.code if isinstance(end.code, int) else 0)
        raise


def _vanish(status: list[int]) -> None:
    """End at once; where something went wrong, in the usual way, which says so."""
    if not status:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # nobody reads it any more, or it is closed
        return
    os._exit(status[0])


if __name__ == "__main__":
    run()
