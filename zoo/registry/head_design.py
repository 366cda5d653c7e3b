"""The design of a new head: ``linear``, or ``mlp`` with hidden layers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import OptionError

#: Maximum number of hidden layers. More of them cannot be trained, and only a damaged model file asks for them.
MAX_LAYERS = 32


@dataclass(frozen=True)
class HeadDesign:
    """The design of a new head: a linear layer, or an MLP that replaces the backbone's classifier."""

    #: Widths of the hidden layers, from input to output; empty for ``linear``.
    widths: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> HeadDesign:
        """Parse ``linear`` or ``mlp:W,W``, such as ``mlp:4096,4096``.

        Raises:
            OptionError: If the string is neither.
        """
        kind, _, widths = text.partition(":")
        if text == "linear":
            return cls()
        parts = widths.split(",", MAX_LAYERS)
        if len(parts) > MAX_LAYERS:
            raise OptionError(f"`head` has more than {MAX_LAYERS} hidden layers; use fewer.")
        if kind == "mlp" and all(re.fullmatch(r"[1-9][0-9]{0,6}", part) for part in parts):
            return cls(tuple(int(part) for part in parts))
        raise OptionError(f"invalid `head` {text!r}; use linear, or mlp:W,W with the widths of the hidden layers.")

    def __str__(self) -> str:
        return f"mlp:{','.join(map(str, self.widths))}" if self.widths else "linear"
