"""Find out whether the process that wrote a file is still running, and on which machine it is."""

from __future__ import annotations

import os


def is_running(process: str) -> bool:
    """Return whether a process is running on this machine; True if this cannot be determined.

    Args:
        process: ID of the process. A string that is not a number never matches a process.
    """
    if os.name == "nt" or not process.isdecimal():
        return os.name == "nt"  # Windows has no harmless way to ask.
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True  # It belongs to another user.
    return True


def read_node() -> str:
    """Return the name of this machine, because several machines may share a cache folder."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
