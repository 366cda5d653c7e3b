"""The public contract: everything that a plugin author imports.

A plugin is an importable module that an entry point in the ``zoo`` group refers to. The name of the entry point is the
plugin's namespace. Nothing here imports torch, and a plugin must not import it before one of its functions is called.

Example:
    from zoo.plugin import BackboneSpec, BlockSpec, hookimpl

    ZOO_API = 2

    @hookimpl
    def zoo_backbones():
        yield BackboneSpec(name="acme/net", build=build, head=("fc",), ...)
"""

from __future__ import annotations

from zoo.errors import NameNotFound, WeightsError
from zoo.plugin.backbone_spec import BackboneSpec
from zoo.plugin.block_spec import BlockSpec
from zoo.plugin.capabilities import Capability
from zoo.plugin.dataset_spec import DatasetSpec
from zoo.plugin.fields import checks_deferred
from zoo.plugin.hooks import API_VERSION, Hooks, hookimpl
from zoo.plugin.input_spec import Crop, InputSpec, Interpolation
from zoo.plugin.source_spec import SourceSpec
from zoo.plugin.weights_spec import WeightsSpec

__all__ = [
    "API_VERSION",
    "BackboneSpec",
    "BlockSpec",
    "Capability",
    "Crop",
    "DatasetSpec",
    "Hooks",
    "InputSpec",
    "Interpolation",
    "NameNotFound",
    "SourceSpec",
    "WeightsError",
    "WeightsSpec",
    "checks_deferred",
    "hookimpl",
]

# Messages and pickles show the module from which users import these classes.
for _public in (BackboneSpec, BlockSpec, DatasetSpec, Hooks, InputSpec, SourceSpec, WeightsSpec):
    _public.__module__ = __name__
