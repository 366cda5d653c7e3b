"""What a backbone says that it cannot do, tried all the same: an excuse whose cause is gone is told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from zoo.testing.results.result import CheckFailed, NotApplicable

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import Subject


def excusing(capability: str, check: Callable[[Subject], None]) -> Callable[[Subject], None]:
    """Return a check that backbones are excused from which say under ``unsupported`` why, and fail it indeed."""

    @functools.wraps(check)
    def look(subject: Subject) -> None:
        reason = subject.backbone.unsupported.get(capability)
        if reason is None:
            check(subject)
            return
        try:
            check(subject)
        except Exception as failure:
            raise NotApplicable(reason) from failure
        raise CheckFailed(f"it says that it has no {capability} ({reason}), and it has; take that out of unsupported.")

    return look
