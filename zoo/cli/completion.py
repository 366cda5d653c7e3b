"""What a shell completes: backbones, data sets and runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:  # generic in newer releases of click only
    TextType = click.ParamType[str]
else:
    TextType = click.ParamType


class BackboneName(TextType):
    """The name of a backbone, bare or qualified."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  # click's
        """List the names that begin like this."""
        from zoo.registry.registry import list_backbones

        names = {backbone.name for backbone in list_backbones()}
        if "/" not in incomplete:
            names = {name.partition("/")[2] for name in names}
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


class DataName(TextType):
    """A data set's name, or a path."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  # click's
        """List the data sets that begin like this, and let the shell add paths."""
        from zoo.registry.registry import open_registry

        names = [spec.name.rpartition("/")[2] for spec in open_registry().list_datasets()]
        items = [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]
        return [*items, CompletionItem(incomplete, type="file")]


class RunFolderName(TextType):
    """A run folder."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002  # click's
        """List the finished runs below ``runs/`` that begin like this, and let the shell add folders."""
        runs = sorted(str(path.parent) for path in Path("runs").glob("*/run.json"))
        items = [CompletionItem(run) for run in runs if run.startswith(incomplete)]
        return [*items, CompletionItem(incomplete, type="dir")]
