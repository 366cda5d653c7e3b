"""The jinja2 templates of this folder. They produce HTML and SVG, and every value in them is printable and escaped."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from zoo.progress.printable import make_printable
from zoo.runs.report.numbers import show_count, show_percent, show_seconds, show_short, show_value

if TYPE_CHECKING:
    from jinja2 import Environment


def render_template(name: str, **values: Any) -> str:
    """Render a template of this folder."""
    return _open_environment().get_template(name).render(values)


def _make_value_printable(value: Any) -> Any:
    """Make text printable before jinja2 escapes its markup. Macros return markup, which is not escaped again."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else make_printable(value)


@cache
def _open_environment() -> Environment:
    # Imported here because the import is slow and only reports need it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("zoo.runs.report", ""),
        autoescape=True,
        finalize=_make_value_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = {"count": show_count, "percent": show_percent, "seconds": show_seconds, "short": show_short}
    environment.filters.update(filters, number="{:,}".format, value=show_value)
    return environment
