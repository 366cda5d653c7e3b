"""The hooks that a plugin may implement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from zoo.plugin.backbone_spec import BackboneSpec
from zoo.plugin.dataset_spec import DatasetSpec

#: The version of this contract. A plugin states the one that it was written for as ``ZOO_API``.
API_VERSION = 1

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


class Hooks:
    """What a plugin may implement; every hook is optional and returns its values."""

    @hookspec
    def zoo_backbones(self) -> Iterable[BackboneSpec]:  # type: ignore[empty-body]  # a declaration
        """List the plugin's backbones, without importing torch."""

    @hookspec
    def zoo_find_backbone(self, name: str) -> BackboneSpec | None:
        """Find a backbone that is not listed, ``name`` without the namespace; may import torch."""

    @hookspec
    def zoo_datasets(self) -> Iterable[DatasetSpec]:  # type: ignore[empty-body]  # a declaration
        """List the plugin's data sets, without importing torch."""

    @hookspec
    def zoo_run_started(self, run: Mapping[str, Any]) -> None:
        """A run begins; ``run`` is what run.json holds so far."""

    @hookspec
    def zoo_epoch_ended(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        """An epoch is over; ``epoch`` is its line of history.jsonl."""

    @hookspec
    def zoo_run_finished(self, run: Mapping[str, Any]) -> None:
        """A run is complete on disk; ``run`` is run.json."""
