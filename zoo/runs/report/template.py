"""The jinja2 templates of this folder: HTML and SVG in which every value is escaped."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo.runs.report.numbers import show_count, show_percent, show_seconds, show_short, show_value

if TYPE_CHECKING:
    from jinja2 import Environment

# Control characters, lone surrogates (which stand for the bytes of a file name that is not UTF-8) and noncharacters:
# neither HTML nor XML has a way to write them.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def render_template(name: str, **values: Any) -> str:
    """Return the text of a template of this folder, filled in with values; what is not writable becomes U+FFFD."""
    return _UNWRITABLE.sub("\ufffd", _open_environment().get_template(name).render(values))


@cache
def _open_environment() -> Environment:
    # Imported here, as it takes longer than most commands, and only a report needs it.
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
