"""A pretrained image network, described without building it: its blocks, its head, its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from zoo.errors import NameNotFound
from zoo.plugin.fields import (
    accepting_licence,
    are_paths,
    are_reasons,
    are_specs,
    check_when_made,
    differ,
    is_count,
    is_number,
    is_text,
    matches,
    refuse,
)
from zoo.plugin.input_spec import InputSpec
from zoo.plugin.weights_spec import WeightsSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

Capability = Literal["image_sizes", "bf16", "gradient_checkpointing", "export", "compile"]

#: What a backbone may claim that it can do besides.
CAPABILITIES = get_args(Capability)
#: What every backbone can do unless it says why not.
EXPECTED = ("freezing", "cached_features")

_CLAIMS = frozenset((*EXPECTED, *CAPABILITIES))

QUALIFIED_NAME = re.compile(r"[a-z][a-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
CONSTRUCTOR = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\(([^{}\n]*\{(num_classes|image_size)\})*[^{}\n]*\)")
UPSTREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*==\S+")


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


@accepting_licence
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
    license: str
    input: InputSpec = InputSpec()  # noqa: RUF009  # it is frozen
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

    def get_weights(self, tag: str) -> WeightsSpec:
        """Return the weights of that tag; ``DEFAULT`` is the first.

        Raises:
            NameNotFound: there are no such weights.
        """
        for weights in self.weights:
            if tag in (weights.tag, "DEFAULT"):
                return weights
        known = ", ".join(weights.tag for weights in self.weights) or "none are published"
        raise NameNotFound(
            f"{self.name} has no weights {tag!r}; it has: {known}. Or give a .safetensors file, or none."
        )


def check_block(spec: BlockSpec) -> None:
    """Check a block."""
    if not is_text(spec.name):
        refuse(spec, "name", spec.name, "a text")
    if not (are_paths(spec.prefixes) and spec.prefixes):
        refuse(spec, "prefixes", spec.prefixes, "a tuple of parameter-name prefixes that differ, at least one")


def check_backbone(spec: BackboneSpec) -> None:
    """Check a backbone, all but the parts that its own specs have checked."""
    check_backbone_name(spec)
    check_backbone_license(spec)
    check_backbone_fields(spec)
    check_capabilities(spec)


def check_backbone_name(spec: BackboneSpec) -> None:
    """Check the name of a backbone."""
    if not matches(QUALIFIED_NAME, spec.name):
        refuse(spec, "name", spec.name, "namespace/name, of letters, digits, '_', '.' and '-'")


def check_backbone_license(spec: BackboneSpec) -> None:
    """Check the license of a backbone's code."""
    if not is_text(spec.license):
        refuse(spec, "license", spec.license, "a text")


def check_backbone_fields(spec: BackboneSpec) -> None:
    """Check what has no check of its own."""
    if not is_text(spec.family):
        refuse(spec, "family", spec.family, "a text")
    if spec.classifier is not None and not is_text(spec.classifier):
        refuse(spec, "classifier", spec.classifier, "a dotted path, or None")
    if spec.constructor is not None and not matches(CONSTRUCTOR, spec.constructor):
        wanted = "module.name(...) with no other braces than {num_classes} and {image_size}, or None"
        refuse(spec, "constructor", spec.constructor, wanted)
    if spec.upstream is not None and not matches(UPSTREAM, spec.upstream):
        refuse(spec, "upstream", spec.upstream, "distribution==version, or None")
    for name in ("params", "num_classes"):
        if not is_count(getattr(spec, name)):
            refuse(spec, name, getattr(spec, name), "a number above zero")
    if not isinstance(spec.input, InputSpec):
        refuse(spec, "input", spec.input, "an InputSpec")
    _check_functions(spec)
    _check_head(spec)
    _check_blocks(spec)
    _check_tags(spec)


def check_capabilities(spec: BackboneSpec) -> None:
    """Check what a backbone claims that it can do, and what not."""
    supports, unsupported = spec.supports, spec.unsupported
    known = type(supports) is tuple and all(map(CAPABILITIES.__contains__, supports))
    if not (known and len({*supports}) == len(supports)):
        refuse(spec, "supports", supports, f"a tuple of some of {', '.join(CAPABILITIES)}, each once")
    if not (are_reasons(unsupported) and unsupported.keys() <= _CLAIMS):
        names = ", ".join((*EXPECTED, *CAPABILITIES))
        refuse(spec, "unsupported", unsupported, f"a mapping to reasons from any of {names}")
    if unsupported and (both := [name for name in supports if name in unsupported]):
        refuse(spec, "supports", supports, f"without {', '.join(both)}, which unsupported has as well")
    if not are_reasons(spec.expected_failures):
        refuse(spec, "expected_failures", spec.expected_failures, "a mapping from checks' names to reasons")


def _check_functions(spec: BackboneSpec) -> None:
    if not callable(spec.build):
        refuse(spec, "build", spec.build, "a function of (tag) that returns the model")
    if spec.convert is not None and not callable(spec.convert):
        refuse(spec, "convert", spec.convert, "a function of (tag, tensors), or None")


def _check_head(spec: BackboneSpec) -> None:
    if not callable(spec.head) and not (are_paths(spec.head) and spec.head):
        refuse(spec, "head", spec.head, "a tuple of dotted paths that differ, at least one, or a function of (model)")
    if not are_paths(spec.aux_heads):
        refuse(spec, "aux_heads", spec.aux_heads, "a tuple of dotted paths that differ")
    if not (is_number(spec.aux_weight) and spec.aux_weight >= 0):
        refuse(spec, "aux_weight", spec.aux_weight, "a number, zero or above")


def _check_blocks(spec: BackboneSpec) -> None:
    blocks = spec.blocks
    if callable(blocks):
        return
    if not (are_specs(blocks, BlockSpec) and blocks):
        refuse(spec, "blocks", blocks, "a tuple of BlockSpec, at least one, or a function of (model)")
    names = [block.name for block in blocks]
    if not differ(names):
        refuse(spec, "blocks", names, "names that differ")


def _check_tags(spec: BackboneSpec) -> None:
    if not are_specs(spec.weights, WeightsSpec):
        refuse(spec, "weights", spec.weights, "a tuple of WeightsSpec")
    tags = [weights.tag for weights in spec.weights]
    if not differ(tags):
        refuse(spec, "weights", tags, "tags that differ")
