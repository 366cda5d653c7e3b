"""The jinja2 templates of this folder. They produce HTML and SVG, and escape every value."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo.runs.report.numbers import show_count, show_percent, show_seconds, show_short, show_value

if TYPE_CHECKING:
    from jinja2 import Environment

# Control characters, lone surrogates (bytes of a file name that is not valid UTF-8) and noncharacters. HTML and XML
# cannot represent them.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render_template(name: str, **values: Any) -> str:
    """Render a template of this folder. Characters that cannot be represented are replaced by U+FFFD."""
    return _UNWRITABLE.sub("\ufffd", _open_environment().get_template(name).render(values))


@cache
def _open_environment() -> Environment:
    # Imported here because the import is slow and only reports need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("zoo.runs.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {"count": show_count, "percent": show_percent, "seconds": show_seconds, "short": show_short}
    environment.filters.update(filters, number="{:,}".format, value=show_value)
    return environment
