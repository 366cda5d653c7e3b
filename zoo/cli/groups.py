"""Help texts: commands in the order of work, options in sections, and names that are near a wrong one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import click


class SectionedCommand(click.Command):
    """A command whose options are listed in sections, with examples after them."""

    #: Titles, and the names of the parameters below each; the others come last.
    sections: ClassVar[Mapping[str, Sequence[str]]] = {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([record for name in names if (record := records.pop(name, None))])
        with formatter.section("Other options"):
            formatter.write_dl([record for record in records.values() if record])


def suggest(wrong: str, known: Iterable[str], synonyms: Mapping[str, str]) -> str:
    """Return ``Did you mean 'finetune'?`` for a wrong name, or nothing if nothing is near it."""
    import difflib  # here, since it takes a while to import

    near = [synonyms[wrong]] if wrong in synonyms else difflib.get_close_matches(wrong, [*known], n=2)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
