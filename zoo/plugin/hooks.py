"""The hooks that a plugin can implement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from zoo.plugin.backbone_spec import BackboneSpec
from zoo.plugin.dataset_spec import DatasetSpec
from zoo.plugin.source_spec import SourceSpec

#: Version of this contract. A plugin's module declares the version that it was written for as ``ZOO_API``.
API_VERSION = 2
#: Versions that zoo accepts. A newer version only adds to an older one, so everything that a plugin declares for an
#: older one keeps its meaning.
ACCEPTED_VERSIONS = (1, API_VERSION)

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


class Hooks:
    """The hooks that a plugin can implement. Every hook is optional.

    A plugin implements a hook as a function in its module, without ``self``, and decorates it with ``hookimpl``. The
    function can omit arguments that it does not need. zoo loads and calls each plugin separately, so the exceptions and
    the output of one plugin do not affect the others.

    Example:
        @hookimpl
        def zoo_epoch_ended(epoch):
            log(epoch["epoch"], epoch["val_accuracy"])
    """

    @hookspec
    def zoo_backbones(self) -> Iterable[BackboneSpec]:  # type: ignore[empty-body]  # a declaration
        """List the backbones of the plugin.

        Importing torch, torchvision, timm or numpy here is an error.

        Returns:
            The backbones, or an iterator over them. Each name must begin with the plugin's namespace.
        """

    @hookspec
    def zoo_find_backbone(self, name: str) -> BackboneSpec | None:
        """Find a backbone that ``zoo_backbones`` does not list. This hook may import torch.

        Args:
            name: The name of the backbone without the namespace.

        Returns:
            The backbone, or None if the plugin has no backbone with this name.
        """

    @hookspec
    def zoo_datasets(self) -> Iterable[DatasetSpec]:  # type: ignore[empty-body]  # a declaration
        """List the data sets of the plugin.

        Importing torch, torchvision, timm or numpy here is an error.

        Returns:
            The data sets, or an iterator over them. Each name must begin with the plugin's namespace.
        """

    @hookspec
    def zoo_data_sources(self) -> Iterable[SourceSpec]:  # type: ignore[empty-body]  # a declaration
        """List the kinds of data sources that the plugin adds.

        Importing torch, torchvision, timm or numpy here is an error.

        Returns:
            The kinds of data sources, or an iterator over them. Each prefix must be the plugin's namespace, or begin
            with the namespace and ``-``.
        """

    @hookspec
    def zoo_run_started(self, run: Mapping[str, Any]) -> None:
        """Called when a run starts, and again in each process that resumes it.

        Args:
            run: The content of run.json so far, and the path of the run folder as ``path``. If the run resumes, the
                last item of ``resumed`` is the epoch at which it does. Each plugin receives its own copy.
        """

    @hookspec
    def zoo_epoch_ended(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        """Called after each epoch, with its results.

        After an interruption, this is called again for the epochs since the last checkpoint, so trackers receive each
        epoch at least once.

        Args:
            run: The content of run.json so far, and the path of the run folder as ``path``. Each plugin receives its
                own copy.
            epoch: The epoch's line of history.jsonl. Each plugin receives its own copy.
        """

    @hookspec
    def zoo_run_finished(self, run: Mapping[str, Any]) -> None:
        """Called when a run has finished and all of its files have been written.

        Args:
            run: The content of run.json, and the path of the run folder as ``path``. Each plugin receives its own copy.
        """
