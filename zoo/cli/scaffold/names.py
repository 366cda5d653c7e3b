"""What a new plugin may be called, and what its distribution and its module are called then."""

from __future__ import annotations

import keyword
import re

from zoo.errors import OptionError
from zoo.registry.discovery import FIRST_PARTY

#: A namespace that the names of a distribution and of a module can hold too: they end with a letter or digit, and those
#: that differ in separators only are the same distribution.
NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", re.ASCII)

#: What the template calls itself, and its module.
_TEMPLATE = re.compile("(zoo_)?acme")


def check_name(name: str) -> None:
    """Check what a new plugin is to be called.

    Raises:
        OptionError: it is no namespace, a word of Python's, or belongs to another plugin.
    """
    if name.startswith(("zoo-", "zoo_")) and NAME.fullmatch(name[4:]):
        raise OptionError(f"{name!r} would become zoo-{name}, since zoo- is put before it; ask for {name[4:]!r}.")
    if not NAME.fullmatch(name):
        wanted = "lower-case letters and digits, a letter first, with single '-' or '_' between them: acme, my-nets"
        raise OptionError(f"{name!r:.80} cannot be a plugin's name; use {wanted}.")
    if keyword.iskeyword(name):
        raise OptionError(f"{name!r} is a word of Python's own; choose another name, such as {name}-nets.")
    if name in FIRST_PARTY:
        taken = ", ".join(sorted(FIRST_PARTY))
        raise OptionError(f"{name!r} belongs to {FIRST_PARTY[name]}; choose another name than {taken}.")


def rename(text: str, name: str) -> str:
    """Put a plugin's name in place of the template's, in a text or in a path."""
    module = name.replace("-", "_")
    # In one go: the new name may hold the template's.
    return _TEMPLATE.sub(lambda found: f"zoo_{module}" if found[1] else name, text)
