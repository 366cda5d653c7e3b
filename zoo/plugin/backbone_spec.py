"""A pretrained image network, declared as data: its blocks, its head and its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.errors import NameNotFound
from zoo.plugin.block_spec import BlockSpec
from zoo.plugin.capabilities import Capability, check_capabilities, check_first_conv
from zoo.plugin.constructor import is_constructor
from zoo.plugin.fields import (
    accepting_licence,
    are_distinct,
    are_paths,
    are_specs,
    check_when_made,
    is_count,
    is_text,
    matches,
    refuse,
    require,
)
from zoo.plugin.head_fields import check_head_fields
from zoo.plugin.input_spec import InputSpec
from zoo.plugin.weights_spec import WeightsSpec

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    Convert = (
        Callable[[str, Mapping[str, Tensor]], Mapping[str, Tensor]]
        | Callable[[str, Mapping[str, Tensor], nn.Module], Mapping[str, Tensor]]
    )

#: A namespace and one or two more parts. Two are for names of repositories, such as ``transformers/owner/name``.
QUALIFIED_NAME = re.compile(r"[a-z][a-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*){1,2}")
_VERSIONS = r"(===|~=|==|!=|<=|>=|<|>) ?[0-9A-Za-z][0-9A-Za-z.*+!_-]*"
UPSTREAM = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]*(==\S+| ?{_VERSIONS}( ?, ?{_VERSIONS})*)")
_PREFIXES = "a tuple of distinct prefixes of parameter names, or a function that takes (model)"


@accepting_licence
@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """A pretrained image network, declared as data, so that it can be listed without building it.

    Example:
        def build(tag):
            from acme.nets import Net  # imported here, so that listing does not import torch

            return Net(num_classes=1000)

        BackboneSpec(
            name="acme/net",
            family="net",
            build=build,
            head=("fc",),
            blocks=(BlockSpec("stem", ("conv1", "bn1")), BlockSpec("layer1", ("layer1",))),
            params=11_689_512,
            license="Apache-2.0",
            weights=(WeightsSpec(tag="in1k", url="https://example.org/net.safetensors", license="Apache-2.0"),),
        )

    Raises:
        PluginError: If a field has an invalid value.
    """

    #: Name of the backbone, ``namespace/name``, or ``namespace/owner/name`` for a repository that is found by its name.
    name: str
    #: Kind of network, such as ``resnet`` or ``vgg``.
    family: str
    #: Function ``build(tag)`` that returns upstream's model with random parameters and ``num_classes`` outputs. It
    #: must not download anything. ``tag`` is the name of the weights that will be loaded, or None. It matters only if
    #: the architecture depends on the weights, for example on their image size. The model takes a float batch of shape
    #: (N, C, H, W) and returns logits of shape (N, num_classes).
    build: Callable[[str | None], nn.Module]
    #: Dotted paths of the last layers, each an nn.Linear or nn.Conv2d, which output the logits; or a function that
    #: receives the built model and returns these paths.
    head: tuple[str, ...] | Callable[[nn.Module], tuple[str, ...]]
    #: Blocks from input to output, or a function that receives the built model and returns them. Every parameter is in
    #: exactly one block or in a head.
    blocks: tuple[BlockSpec, ...] | Callable[[nn.Module], tuple[BlockSpec, ...]]
    #: Number of parameters of the model that ``build`` returns, without a head that zoo adds.
    params: int
    #: SPDX identifier of the code's license.
    license: str
    #: The input that the model expects.
    input: InputSpec = InputSpec()  # noqa: RUF009  # it is frozen
    #: Function ``preprocessing(tag)`` that returns upstream's own preprocessing for the weights ``tag``, or for the
    #: architecture if ``tag`` is None: a callable that takes an RGB PIL image and returns a float tensor of shape
    #: (C, H, W). It returns None if upstream publishes no preprocessing for these weights. ``zoo check`` compares the
    #: result with ``input``. Leave the field out if upstream publishes no preprocessing at all.
    preprocessing: Callable[[str | None], Callable[[Image.Image], Tensor] | None] | None = None
    #: Published weights. The first ones are the default.
    weights: tuple[WeightsSpec, ...] = ()
    #: Number of outputs of the head in the model that ``build`` returns, or of the head that zoo adds to it.
    num_classes: int = 1000
    #: Dotted path of the module that contains the head and that a new MLP head replaces; None if that is the head
    #: itself.
    classifier: str | None = None
    #: Names of parameters that belong to the head but to none of its layers, such as a ``logit_scale``. They are
    #: trained with the head, belong to no block, and keep their values if the head is replaced.
    head_parameters: tuple[str, ...] = ()
    #: Dotted paths of auxiliary heads, each an nn.Linear or nn.Conv2d. If there are any, the model returns a tuple in
    #: training mode: its logits, followed by the logits of each auxiliary head.
    aux_heads: tuple[str, ...] = ()
    #: Weight of the loss of each auxiliary head.
    aux_weight: float = 0.0
    #: Prefixes of the names of parameters that upstream builds with ``requires_grad=False``, such as masks; or a
    #: function that receives the built model and returns these prefixes. Training never changes them.
    fixed: tuple[str, ...] | Callable[[nn.Module], tuple[str, ...]] = ()
    #: Prefixes of the names of parameters that get no gradient, because the forward pass does not use them; or a
    #: function that receives the built model and returns these prefixes. Training never changes them.
    unused: tuple[str, ...] | Callable[[nn.Module], tuple[str, ...]] = ()
    #: Field of the model's output that holds the logits, such as ``logits``, if the forward pass returns an object or a
    #: mapping; None if it returns a tensor. The model that zoo builds returns the value of this field.
    output_field: str | None = None
    #: Number of features if upstream's model has no head and returns features of shape (N, features); None if it has
    #: one. zoo then adds an nn.Linear under the only name in ``head`` and calls it on the output.
    features: int | None = None
    #: Dotted path of the nn.Conv2d that takes the channels of an image, or a tuple of paths if there are several; None
    #: if it is unknown. With the capability ``channels``, zoo adapts it to images with another number of channels.
    first_conv: str | tuple[str, ...] | None = None
    #: Function ``convert(tag, tensors)`` or ``convert(tag, tensors, model)`` that maps the tensors of a published file
    #: to the model's own parameter names; None if the names are the same. It must not change the built model.
    convert: Convert | None = None
    #: Upstream distribution and version that this spec describes, such as ``timm==1.0.31``, or the versions for which
    #: it holds, such as ``timm>=1.0.25,<2``. zoo prints a note if a different minor version is installed, or one that
    #: is outside the range.
    upstream: str | None = None
    #: Python expression that builds the network without zoo, such as ``acme.nets.Net(num_classes={num_classes})``, or
    #: lines of code that import what they need and assign ``model``. zoo fills in ``{num_classes}`` and
    #: ``{image_size}``. Only ``zoo check`` runs this code; runs show it to their users.
    constructor: str | None = None
    #: Function ``run_files(classes, input)`` that returns the content of the JSON files with which upstream loads the
    #: folder of a run: ``config.json`` and ``preprocessor_config.json``, by name. ``classes`` are the names of the
    #: classes, and ``input`` is the `InputSpec` of the run. zoo calls it for runs with a linear head.
    run_files: Callable[[Sequence[str], InputSpec], Mapping[str, Mapping[str, Any]]] | None = None
    #: Capabilities that the backbone has. ``zoo check`` verifies each of them.
    supports: tuple[Capability, ...] = ()
    #: Capabilities that the backbone lacks, each with the reason. Declare ``freezing`` if the backbone has fewer than
    #: two blocks, ``cached_features`` if its head, run on its own on its recorded input, does not return the logits,
    #: and ``meta`` if it cannot be built or run on torch's meta device.
    unsupported: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: Checks of ``zoo check`` that are known to fail, each with the reason.
    expected_failures: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_when_made(check_backbone, self)

    @property
    def default_weights(self) -> WeightsSpec | None:
        """The default weights, or None if no weights are published."""
        return self.weights[0] if self.weights else None

    def get_weights(self, tag: str) -> WeightsSpec:
        """Return the published weights with a tag.

        Args:
            tag: The tag; ``DEFAULT`` means the first weights.

        Raises:
            NameNotFound: If there are no weights with this tag.
        """
        for weights in self.weights:
            if tag in (weights.tag, "DEFAULT"):
                return weights
        known = ", ".join(weights.tag for weights in self.weights) or "none"
        raise NameNotFound(
            f"{self.name} has no weights {tag!r}; available: {known}. You can also pass a .safetensors file, or none."
        )


def check_backbone(spec: BackboneSpec) -> None:
    """Check the fields of a backbone. The specs that it contains were checked when they were created.

    Raises:
        PluginError: If a field has an invalid value.
    """
    check_backbone_name(spec)
    check_backbone_license(spec)
    check_backbone_fields(spec)
    check_capabilities(spec)
    check_first_conv(spec)


def check_backbone_name(spec: BackboneSpec) -> None:
    """Check the name of a backbone."""
    is_name = matches(QUALIFIED_NAME, spec.name)
    require(
        spec, ("name", is_name, "namespace/name or namespace/owner/name, made of letters, digits, '_', '.' and '-'")
    )


def check_backbone_license(spec: BackboneSpec) -> None:
    """Check the license of a backbone's code."""
    require(spec, ("license", is_text(spec.license), "an SPDX identifier"))


def check_backbone_fields(spec: BackboneSpec) -> None:
    """Check all fields that the other functions do not check."""
    check_head_fields(spec)
    are_blocks = callable(spec.blocks) or (are_specs(spec.blocks, BlockSpec) and spec.blocks != ())
    require(
        spec,
        ("family", is_text(spec.family), "a one-line string"),
        (
            "constructor",
            spec.constructor is None or is_constructor(spec.constructor),
            "module.name(...) with no braces but {num_classes} and {image_size}, lines that assign model, or None",
        ),
        (
            "upstream",
            spec.upstream is None or matches(UPSTREAM, spec.upstream),
            "distribution==version, a distribution with a range of versions, or None",
        ),
        ("params", is_count(spec.params), "a positive integer"),
        ("num_classes", is_count(spec.num_classes), "a positive integer"),
        ("run_files", spec.run_files is None or callable(spec.run_files), "a function (classes, input), or None"),
        ("input", isinstance(spec.input, InputSpec), "an InputSpec"),
        (
            "preprocessing",
            spec.preprocessing is None or callable(spec.preprocessing),
            "a function that takes (tag), or None",
        ),
        ("build", callable(spec.build), "a function that takes (tag) and returns the model"),
        (
            "convert",
            spec.convert is None or callable(spec.convert),
            "a function that takes (tag, tensors) or (tag, tensors, model), or None",
        ),
        ("fixed", callable(spec.fixed) or are_paths(spec.fixed), _PREFIXES),
        ("unused", callable(spec.unused) or are_paths(spec.unused), _PREFIXES),
        ("blocks", are_blocks, "a nonempty tuple of BlockSpec, or a function that takes (model)"),
        ("weights", are_specs(spec.weights, WeightsSpec), "a tuple of WeightsSpec"),
    )
    names = [] if callable(spec.blocks) else [block.name for block in spec.blocks]
    if not are_distinct(names):
        refuse(spec, "blocks", names, "a tuple of blocks with distinct names")
    tags = [weights.tag for weights in spec.weights]
    if not are_distinct(tags):
        refuse(spec, "weights", tags, "a tuple of weights with distinct tags")
