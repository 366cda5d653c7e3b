"""The result of a check, and the exceptions that a check raises."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from zoo.registry.plugins.isolation import describe_in_one_line

#: Status of a check. ``xfail`` is a failure that the plugin declares, ``xpass`` a declared failure that did not occur.
#: ``n/a`` means that the check does not apply, ``not-run`` that the check was not selected or could not run.
Status = Literal["pass", "fail", "error", "xfail", "xpass", "n/a", "not-run"]
STATUSES: tuple[Status, ...] = get_args(Status)

#: Statuses that count as failures of the plugin.
BAD: frozenset[Status] = frozenset(("fail", "error", "xpass"))


@dataclass(frozen=True)
class Result:
    """The result of one check of one backbone, or of the plugin itself."""

    #: Name of the backbone, such as ``acme/net``, or of the plugin, such as ``acme``.
    backbone: str
    check: str
    status: Status
    #: Reason for a status other than ``pass``, in one line.
    reason: str = ""
    #: Upstream of the backbone and the installed version that was checked, such as ``timm 1.0.31``; empty for a plugin,
    #: and if the backbone declares no upstream.
    upstream: str = ""


class CheckFailed(Exception):
    """A promise is not kept; the message says what to change."""


class CannotCheck(Exception):
    """A check cannot run, because something that it needs is missing; the message says what."""


class NotApplicable(Exception):
    """The plugin does not make the promise; the message says why."""


def describe_with_place(error: BaseException, package: str = "") -> str:
    """Describe an unexpected error by its type, message and location; see `find_place`."""
    place = find_place(error, package)
    return f"{type(error).__name__}: {describe_in_one_line(error)}{place and f' ({place})'}"


def find_place(error: BaseException, package: str = "") -> str:
    """Return the file and line of the innermost frame of an error, or an empty string if there is none.

    If a package is given, only frames in this package count.
    """
    frames = [
        (Path(frame.f_code.co_filename).name, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<")  # Python's own frozen modules
        and package in ("", str(frame.f_globals.get("__name__")).partition(".")[0])
    ]
    return "{}:{}".format(*frames[-1]) if frames else ""


def count_statuses(results: Iterable[Result]) -> str:
    """Count the results by status, and the total: ``41 pass, 6 n/a of 51 (4 not run)``."""
    counts = Counter(result.status for result in results)
    not_run = counts.pop("not-run", 0)
    shown = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES if counts[status]) or "0 pass"
    rest = f" ({not_run:,} not run)" if not_run else ""
    return f"{shown} of {counts.total() + not_run:,}{rest}"
