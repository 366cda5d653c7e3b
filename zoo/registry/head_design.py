"""What replaces the head: ``linear``, or ``mlp`` with hidden layers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import OptionError


@dataclass(frozen=True)
class HeadDesign:
    """What comes in place of the head: one layer, or a perceptron with hidden layers in place of the classifier."""

    #: Outputs of the hidden layers; none of them for ``linear``.
    widths: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> HeadDesign:
        """Read ``linear`` or ``mlp:4096,4096``.

        Raises:
            OptionError: it is neither.
        """
        kind, _, widths = text.partition(":")
        if text == "linear":
            return cls()
        parts = widths.split(",")
        if kind == "mlp" and all(re.fullmatch(r"[1-9][0-9]{0,6}", part) for part in parts):
            return cls(tuple(int(part) for part in parts))
        raise OptionError(f"no head {text!r}; it is linear, or mlp:W,W with the widths of the hidden layers.")

    def __str__(self) -> str:
        return f"mlp:{','.join(map(str, self.widths))}" if self.widths else "linear"
