"""The trainable part of a run: the head, everything, all layers from a given block onward, phases, or listed terms."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import OptionError

#: Kinds that do not name a block. The last two are sequences of phases.
KINDS = ("head", "all", "head-then-all", "gradual")
PHASED = ("head-then-all", "gradual")
#: Terms that select parameters by what they are.
PROPERTIES = ("norms", "biases")
#: Characters and beginnings that only a list of terms has.
_SYNTAX = (",", "!", "*", "?", "[", "type:")


@dataclass(frozen=True)
class Term:
    """A term of a scope, which selects parameters or, with ``!``, excludes them."""

    #: ``head``, ``all``, ``from``, ``norms``, ``biases``, ``type``, or ``name`` for a block or a pattern.
    kind: str
    #: Block of ``from``, class of ``type``, or the block, path or pattern of ``name``.
    value: str = ""
    is_negated: bool = False

    @classmethod
    def parse(cls, text: str) -> Term:
        """Parse a term.

        Raises:
            OptionError: If the term is empty, or is a sequence of phases.
        """
        name = text.removeprefix("!").strip()
        kind, colon, value = name.partition(":")
        if (
            not name.isprintable()
            or not name
            or name.startswith("!")
            or (colon and kind in ("from", "type") and not value)
        ):
            raise OptionError(
                f"invalid term {text!r} in `train`; a term is a block, a pattern for modules such as *.bn1, head, all, "
                "from:BLOCK, norms, biases or type:CLASS, and ! before it excludes what it matches."
            )
        if name in PHASED:
            raise OptionError(f"`train` {name} is a sequence of phases, which cannot be combined with other terms.")
        is_negated = text.startswith("!")
        if name in ("head", "all", *PROPERTIES):
            return cls(name, "", is_negated)
        return cls(kind, value, is_negated) if colon and kind in ("from", "type") else cls("name", name, is_negated)

    def __str__(self) -> str:
        text = self.value if self.kind == "name" else f"{self.kind}:{self.value}" if self.value else self.kind
        return f"!{text}" if self.is_negated else text


@dataclass(frozen=True)
class TrainScope:
    """The ``train`` option of a run, parsed once."""

    #: Kind of scope: one of `KINDS`, ``from``, or ``terms``.
    kind: str
    #: First trainable block of ``from``. The blocks after it and the head are trainable too.
    block: str | None = None
    #: Terms of ``terms``: trainable is what any of them selects and none of them excludes.
    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, text: str) -> TrainScope:
        """Parse ``head``, ``all``, ``head-then-all``, ``gradual``, ``from:BLOCK``, or terms separated by commas.

        Raises:
            OptionError: If the string is none of them.
        """
        kind, _, block = text.partition(":")
        if text in KINDS:
            return cls(text)
        if kind == "from" and block and block.isprintable() and "," not in block:
            return cls(kind, block)
        if text in PROPERTIES or any(syntax in text for syntax in _SYNTAX):
            return cls("terms", terms=tuple(Term.parse(part.strip()) for part in text.split(",")))
        raise OptionError(
            f"invalid `train` {text!r}; choose from {', '.join(KINDS)}, or from:BLOCK (`zoo info` lists the blocks), "
            f"or list what to train, such as head,{text if text.isidentifier() else 'norms'}."
        )

    def __str__(self) -> str:
        if self.terms:
            return ",".join(map(str, self.terms))
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
