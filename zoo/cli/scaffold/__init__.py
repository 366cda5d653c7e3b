"""Create a plugin package that passes every check, as a starting point for an author.

The template is a complete plugin called acme, so it can be linted and type-checked in place. To create a plugin with
a different name, every "acme" is replaced. The template's code is never run.
"""

from __future__ import annotations

from zoo.cli.scaffold.names import check_name
from zoo.cli.scaffold.package import FILES, write_plugin

__all__ = ["FILES", "check_name", "write_plugin"]
