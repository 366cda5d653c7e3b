"""What a run trains: the head, everything, the blocks from one on, or phases that thaw more and more."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import OptionError

#: Kinds that name no block. The last two are sequences of phases.
KINDS = ("head", "all", "head-then-all", "gradual")
PHASED = ("head-then-all", "gradual")


@dataclass(frozen=True)
class TrainScope:
    """The option ``train`` of a run, parsed once."""

    #: One of `KINDS`, or ``from``.
    kind: str
    #: For ``from``: the first block that is trained; all after it and the head are, too.
    block: str | None = None

    @classmethod
    def parse(cls, text: str) -> TrainScope:
        """Read ``head``, ``all``, ``head-then-all``, ``gradual`` or ``from:BLOCK``.

        Raises:
            OptionError: it is none of them.
        """
        kind, _, block = text.partition(":")
        if text in KINDS:
            return cls(text)
        if kind == "from" and block and block.isprintable():
            return cls(kind, block)
        raise OptionError(
            f"no train {text!r}; choose from {', '.join(KINDS)}, or from:BLOCK with a block of `zoo info`."
        )

    def __str__(self) -> str:
        return f"from:{self.block}" if self.block else self.kind

    @property
    def is_head_only(self) -> bool:
        """Whether all but the head stays frozen."""
        return self.kind == "head"

    @property
    def is_phased(self) -> bool:
        """Whether this is a sequence of phases, each with a scope of its own."""
        return self.kind in PHASED


HEAD, ALL = TrainScope("head"), TrainScope("all")
