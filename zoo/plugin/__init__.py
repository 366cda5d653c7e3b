"""All that a plugin author imports: the specs, the hooks and their marker.

A plugin is an importable module behind an entry point in the group ``zoo``; the entry point's name is its namespace.
Nothing here imports torch, and neither may a plugin before one of its callables is called.

    from zoo.plugin import BackboneSpec, BlockSpec, InputSpec, hookimpl

    ZOO_API = 1

    @hookimpl
    def zoo_backbones():
        yield BackboneSpec(name="acme/net", build=build, head=("fc",), ...)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from zoo.plugin.fields import (
    check_backbone,
    check_block,
    check_dataset,
    check_input,
    check_weights,
    check_when_made,
    checks_deferred,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

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
    "WeightsSpec",
    "checks_deferred",
    "hookimpl",
]

#: The version of this contract. A plugin states the one that it was written for as ``ZOO_API``.
API_VERSION = 1

Crop = Literal["center", "squash", "border"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Capability = Literal["image_sizes", "bf16", "gradient_checkpointing", "export", "compile"]

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """How an image becomes the tensor that a backbone expects."""

    #: Channels, height and width in pixels of what the backbone sees.
    size: tuple[int, int, int] = (3, 224, 224)
    #: Length in pixels of the shorter side before the crop (with ``squash``: of both sides).
    resize: int = 256
    #: ``center`` cuts the middle out, ``squash`` ignores the aspect ratio, ``border`` pads the shorter side.
    crop: Crop = "center"
    interpolation: Interpolation = "bilinear"
    #: Per channel, of pixels scaled to 0..1.
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    #: The smallest height and width in pixels that the backbone accepts, where it is known.
    min_size: int | None = None

    def __post_init__(self) -> None:
        check_when_made(check_input, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSpec:
    """One published set of weights of a backbone."""

    tag: str
    #: ``https://...``, ``hf://owner/name/file`` or ``file:///...``; None where it cannot be fetched.
    url: str | None
    #: SPDX identifier, or ``unknown``.
    licence: str
    #: Hex digits of the file's SHA-256, all 64 or the first few that upstream publishes.
    sha256: str | None = None
    #: Size of the file in bytes, as upstream states it: it may be rounded, and is shown, not checked.
    size: int | None = None
    #: Outputs of the head in the file; None where the file has no usable head.
    num_classes: int | None = 1000
    #: ImageNet-1k top-1 accuracy in percent, as upstream states it.
    accuracy: float | None = None
    #: Where these weights expect another input than the backbone's own.
    input: InputSpec | None = None
    #: Parameter-name prefixes besides the head that the file lacks or holds without meaning.
    lacks: tuple[str, ...] = ()
    #: The first logits for the image that ``zoo check`` draws, which tell that these are the weights that were meant.
    logits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_when_made(check_weights, self)


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A part of a backbone that is frozen or trained as a whole.

    ``prefixes`` are dotted parameter-name prefixes: ``layer1`` covers ``layer1.0.conv1.weight``, not ``layer10.bias``.
    They name parameters, not modules, since a ViT's ``class_token`` is no module.
    """

    name: str
    prefixes: tuple[str, ...]

    def __post_init__(self) -> None:
        check_when_made(check_block, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A pretrained image network, described without building it."""

    #: ``namespace/name``.
    name: str
    family: str
    #: Builds upstream's model offline, randomly initialised, its head with ``num_classes`` outputs. Gets the tag of the
    #: weights that will be loaded, or None: with some upstreams the architecture depends on it (image size).
    build: Callable[[str | None], nn.Module]
    #: Dotted paths of the last layers, which give the logits; or a function that finds them in the built model.
    head: tuple[str, ...] | Callable[[nn.Module], tuple[str, ...]]
    #: From input to output. Every parameter is in exactly one block or in a head. Or a function that finds them.
    blocks: tuple[BlockSpec, ...] | Callable[[nn.Module], tuple[BlockSpec, ...]]
    #: Number of parameters as built.
    params: int
    #: SPDX identifier of the code.
    licence: str
    input: InputSpec = InputSpec()
    #: The first one is ``DEFAULT``.
    weights: tuple[WeightsSpec, ...] = ()
    #: Outputs of the head as built.
    num_classes: int = 1000
    #: Dotted path of the larger region around the head that people replace whole; None where it is the head itself.
    classifier: str | None = None
    #: Dotted paths of heads that speak in training only; the model then returns a tuple whose first item is the logits.
    aux_heads: tuple[str, ...] = ()
    #: Weight of each auxiliary head's loss.
    aux_weight: float = 0.0
    #: From a published file's tensors (tag, tensors) to upstream's model keys; None where they are the same.
    convert: Callable[[str, Mapping[str, Tensor]], Mapping[str, Tensor]] | None = None
    #: ``timm==1.0.31``: the distribution and version that these facts were read from. Another installed one is said.
    upstream: str | None = None
    #: Python expression that builds the network without zoo; ``{num_classes}``, ``{image_size}`` are filled in.
    constructor: str | None = None
    #: What it can do besides, each proved by ``zoo check``.
    supports: tuple[Capability, ...] = ()
    #: What it cannot do, and why: a capability, ``freezing`` (of less than two blocks) or ``cached_features`` (the
    #: head alone, run on what entered it, does not give the logits).
    unsupported: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Checks of ``zoo check`` that are known to fail, and why.
    expected_failures: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_when_made(check_backbone, self)

    @property
    def default_weights(self) -> WeightsSpec | None:
        """The weights that ``DEFAULT`` means, or None where none are published."""
        return self.weights[0] if self.weights else None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """A named data set: fetched from ``url``, or drawn by ``make`` into an empty folder."""

    #: ``namespace/name``, or a bare name where it comes from a registry.toml.
    name: str
    description: str
    #: SPDX identifier, or ``unknown``.
    licence: str
    #: ``https://...`` of a .zip or .tar archive.
    url: str | None = None
    #: Hex SHA-256 of the archive, 64 digits.
    sha256: str | None = None
    #: Size of the archive in bytes.
    size: int | None = None
    #: The folder in the archive that holds the splits or the classes.
    root: str = "."
    #: Fills the folder that it is given with images; the same ones every time.
    make: Callable[[Path], None] | None = None

    def __post_init__(self) -> None:
        check_when_made(check_dataset, self)


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
