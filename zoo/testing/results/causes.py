"""Group results by their cause, because one wrong line of a plugin can break the promises of all its backbones."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable

from zoo.testing.results.place import PLACE
from zoo.testing.results.result import Result

#: What differs between the backbones of one cause: quoted values and numbers.
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d,.]*")
#: Checks whose numbers are what to declare for one backbone, so that another number is another cause.
_EXACT = ("build.params", "weights.golden")


def find_cause(result: Result) -> Hashable:
    """Return a value that is equal for results of the same check that have the same cause.

    The cause is the same if the reasons are equal except for the backbone's name. If they also name the same line of
    code, values in them may differ.
    """
    reason = result.reason.replace(result.backbone, "").replace(f"'{result.backbone.partition('/')[2]}'", "")
    place = PLACE.search(reason)
    if place is None or result.check in _EXACT:
        return result.status, result.check, reason
    return result.status, result.check, _VALUES.sub("", reason.replace(place[0], "")), place[1]


def group_by_cause(results: Iterable[Result]) -> list[list[Result]]:
    """Return the results in groups with the same cause, in the order of the first result of each group."""
    groups: dict[Hashable, list[Result]] = {}
    for result in results:
        groups.setdefault(find_cause(result), []).append(result)
    return list(groups.values())
