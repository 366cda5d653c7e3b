"""The result of a check, and the exceptions that a check raises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.registry.plugins.place import find_place

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

    def __init__(self, message: str, place: str = "") -> None:
        """Create the error.

        Args:
            message: What is wrong, and what to change.
            place: File and line in the plugin's or upstream's code, if the check knows it. Otherwise, the place is that
                of the error's cause, or of the function or the spec that the check is about.
        """
        super().__init__(message)
        self.place = place


class CannotCheck(Exception):
    """A check cannot run, because something that it needs is missing; the message says what."""


class NotApplicable(Exception):
    """The plugin does not make the promise; the message says why."""


def describe_with_place(error: BaseException, package: str = "") -> str:
    """Describe an unexpected error by its type, message and place; see `find_place`."""
    place = find_place(error, package)
    return f"{type(error).__name__}: {describe_in_one_line(error)}{place and f' ({place})'}"


def count_statuses(results: Iterable[Result]) -> str:
    """Count the results by status, and the total: ``41 pass, 6 n/a of 51 (4 not run)``."""
    counts = Counter(result.status for result in results)
    not_run = counts.pop("not-run", 0)
    shown = ", ".join(f"{counts[status]:,} {status}" for status in STATUSES if counts[status]) or "0 pass"
    rest = f" ({not_run:,} not run)" if not_run else ""
    return f"{shown} of {counts.total() + not_run:,}{rest}"
