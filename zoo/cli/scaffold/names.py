"""Names of new plugins, their distributions and their modules."""

from __future__ import annotations

import keyword
import re

from zoo.errors import OptionError
from zoo.registry.plugins.discovery import FIRST_PARTY

#: Pattern for plugin names that can also be used as part of a distribution name and a module name. Distribution names
#: must end with a letter or a digit, and names that differ only in separators refer to the same distribution.
NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", re.ASCII)

#: The name of the template and of its module.
_TEMPLATE = re.compile("(zoo_)?acme")


def check_name(name: str) -> None:
    """Check the name of a new plugin.

    Raises:
        OptionError: If the name is not a valid namespace, is a Python keyword, or belongs to another plugin.
    """
    if name.startswith(("zoo-", "zoo_")) and NAME.fullmatch(name[4:]):
        raise OptionError(f"{name!r} would become zoo-{name}, because zoo- is added in front; use {name[4:]!r}.")
    if not NAME.fullmatch(name):
        wanted = (
            "lowercase letters and digits, beginning with a letter, separated by single '-' or '_', such as my-nets"
        )
        raise OptionError(f"{name!r:.80} cannot be a plugin's name; use {wanted}.")
    if keyword.iskeyword(name):
        raise OptionError(f"{name!r} is a Python keyword; choose a different name, such as {name}-nets.")
    if name in FIRST_PARTY:
        taken = ", ".join(sorted(FIRST_PARTY))
        raise OptionError(f"{name!r} belongs to {FIRST_PARTY[name]}; choose a name other than {taken}.")


def rename(text: str, name: str) -> str:
    """Replace the template's name in a text or a path."""
    module = name.replace("-", "_")
    # All names are replaced in a single pass, because the new name may contain "acme".
    return _TEMPLATE.sub(lambda found: f"zoo_{module}" if found[1] else name, text)
