"""Writes a plugin package that already keeps every promise it makes; its author changes it from there.

The template is such a package itself, called acme, and is linted and type-checked where it lies. To write it under
another name is to replace that word; nothing of it is run.
"""

from __future__ import annotations

from zoo.cli.scaffold.names import check_name
from zoo.cli.scaffold.package import FILES, write_plugin

__all__ = ["FILES", "check_name", "write_plugin"]
