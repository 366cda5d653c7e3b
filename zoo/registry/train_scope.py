"""The trainable part of a run: the head, everything, all layers from a given block onward, or phases."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import OptionError

#: Kinds that do not name a block. The last two are sequences of phases.
KINDS = ("head", "all", "head-then-all", "gradual")
PHASED = ("head-then-all", "gradual")


@dataclass(frozen=True)
class TrainScope:
    """The ``train`` option of a run, parsed once."""

    #: Kind of scope: one of `KINDS`, or ``from``.
    kind: str
    #: First trainable block of ``from``. The blocks after it and the head are trainable too.
    block: str | None = None

    @classmethod
    def parse(cls, text: str) -> TrainScope:
        """Parse ``head``, ``all``, ``head-then-all``, ``gradual`` or ``from:BLOCK``.

        Raises:
            OptionError: If the string is none of them.
        """
        kind, _, block = text.partition(":")
        if text in KINDS:
            return cls(text)
        if kind == "from" and block and block.isprintable():
            return cls(kind, block)
        raise OptionError(
            f"invalid `train` {text!r}; choose from {', '.join(KINDS)}, or from:BLOCK (`zoo info` lists the blocks)."
        )

    def __str__(self) -> str:
        return f"from:{self.block}" if self.block else self.kind

    @property
    def is_head_only(self) -> bool:
        """Whether everything but the head is frozen."""
        return self.kind == "head"

    @property
    def is_phased(self) -> bool:
        """Whether this is a sequence of phases, each with its own scope."""
        return self.kind in PHASED


HEAD, ALL = TrainScope("head"), TrainScope("all")
