"""The result of a check, and what a check raises."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from zoo.registry.isolation import describe_in_one_line

#: ``xfail`` is a failure that the plugin declares, ``xpass`` one that it declares and that is none; ``n/a`` is what
#: it declares not to have, ``not-run`` what was not asked for or could not be checked.
Status = Literal["pass", "fail", "error", "xfail", "xpass", "n/a", "not-run"]
STATUSES: tuple[Status, ...] = get_args(Status)

#: What makes a plugin fail.
BAD: frozenset[Status] = frozenset(("fail", "error", "xpass"))


@dataclass(frozen=True)
class Result:
    """What came of one check of one backbone, or of the plugin itself."""

    #: ``acme/net``, or ``acme`` for the plugin.
    backbone: str
    check: str
    status: Status
    #: Why, in one line, where the status is not ``pass``.
    reason: str = ""


class CheckFailed(Exception):
    """A promise is not kept; the message says what to change."""


class CannotCheck(Exception):
    """What a check needs is not installed; the message says what."""


class NotApplicable(Exception):
    """The promise is not made; the message says why."""


def describe_with_place(error: BaseException, package: str = "") -> str:
    """Describe an unexpected error by its kind, its message and its place; see `find_place`."""
    place = find_place(error, package)
    return f"{type(error).__name__}: {describe_in_one_line(error)}{place and f' ({place})'}"


def find_place(error: BaseException, package: str = "") -> str:
    """Return the file and line where an error was raised, of a package's own code if one is given; empty if nowhere."""
    frames = [
        (Path(frame.f_code.co_filename).name, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_code.co_filename.startswith("<")  # Python's own, frozen
        and package in ("", str(frame.f_globals.get("__name__")).partition(".")[0])
    ]
    return "{}:{}".format(*frames[-1]) if frames else ""


def count_statuses(results: Iterable[Result]) -> str:
    """Say how many results there are of each status, of how many: ``41 pass, 6 n/a of 51 (4 not run)``."""
    counts = Counter(result.status for result in results)
    not_run = counts.pop("not-run", 0)
    shown = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES if counts[status]) or "0 pass"
    rest = f" ({not_run:,} not run)" if not_run else ""
    return f"{shown} of {counts.total() + not_run:,}{rest}"
