"""Build a model from a spec, with its weights and with a head for the user's classes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from os import PathLike, fspath

import torch
from torch import nn

from zoo.errors import OptionError, PluginError, is_out_of_memory
from zoo.models.added_head import add_head
from zoo.models.channels import adapt_channels, refuse_channels
from zoo.models.head import Head, replace_head
from zoo.models.output_field import describe_output, list_tensor_fields, return_field
from zoo.models.untrained import list_fixed, list_unused, remember_fixed
from zoo.models.weights.choose import WeightsSource, choose_input, choose_weights, input_for
from zoo.models.weights.load import load_tensors, read_initial_tensors
from zoo.plugin import BackboneSpec, InputSpec
from zoo.progress import Progress, Silent
from zoo.registry.head_design import HeadDesign
from zoo.registry.origin import Origin
from zoo.registry.plugins.isolation import naming_place
from zoo.registry.plugins.place import find_definition
from zoo.registry.preprocessing import Preprocessing
from zoo.registry.registry import Registry, open_registry


@dataclass(frozen=True)
class Network:
    """A model with a head for the user's classes, and how it was built."""

    backbone: BackboneSpec
    #: Initial weights of the model.
    initial_weights: WeightsSource
    #: Design of the head.
    design: HeadDesign
    model: nn.Module
    #: Location of the head in the model.
    head: Head
    #: Names of the parameters that are never trained, because upstream builds them with ``requires_grad=False``.
    fixed: frozenset[str] = frozenset()
    #: Names of the parameters that are never trained, because the backbone declares that the forward pass does not use
    #: them.
    unused: frozenset[str] = frozenset()
    #: Changes to the input that the weights expect.
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    #: How the network was built if no plugin provides it, else None.
    origin: Origin | None = None

    @property
    def input(self) -> InputSpec:
        """The input of the model."""
        return self.preprocessing.apply(choose_input(self.backbone, self.initial_weights))

    @property
    def untrained(self) -> frozenset[str]:
        """Names of all parameters that are never trained."""
        return self.fixed | self.unused


def build_model(backbone: BackboneSpec, tag: str | None, channels: int | None = None) -> nn.Module:
    """Build upstream's model by calling the plugin, and make it return logits.

    A forward hook selects the field of its output that holds the logits, or runs a head that upstream's model lacks.

    Args:
        backbone: The backbone.
        tag: Tag of the weights that will be loaded, or None.
        channels: Number of channels to which the model is adapted; None means its own.

    Raises:
        PluginError: If the plugin raises or does not return an nn.Module, or if the first convolution is missing.
    """
    failed = f"{backbone.name} cannot be built"
    with naming_place(failed):
        model = backbone.build(tag)
    if not isinstance(model, nn.Module):
        raise PluginError(
            f"{failed}: its build returns a {type(model).__name__}, not an nn.Module{find_definition(backbone.build)}."
        )
    if channels is not None and channels != input_for(backbone, tag).size[0]:
        adapt_channels(backbone, model, channels)
    if backbone.features is not None:
        return add_head(backbone, model)
    return model if backbone.output_field is None else return_field(model, backbone.output_field)


def build_backbone(
    backbone: BackboneSpec, source: WeightsSource, progress: Progress, channels: int | None = None
) -> tuple[nn.Module, WeightsSource]:
    """Build upstream's model and load its initial weights, including its head's.

    Args:
        backbone: The backbone.
        source: The initial weights.
        progress: Receives remarks about the weights.
        channels: Number of channels of the images. The model is adapted once its weights are loaded, so that they load
            strictly. Default: the number that the weights expect.

    Returns:
        The model, and the source of its weights with the prefix that was found in the file.

    Raises:
        OptionError: If the backbone cannot be adapted to the number of channels.
        PluginError: If the model cannot be built.
        WeightsError: If the weights file is missing, is damaged or belongs to a different network.
    """
    tensors = read_initial_tensors(source, progress)
    expected = choose_input(backbone, source).size[0]
    refuse_channels(backbone, expected, channels)
    model = build_model(backbone, source.tag, expected)
    if not (source.is_random or source.is_own):
        loaded = load_tensors(backbone, model, source, tensors)
        for note in loaded.notes:
            progress.say(f"note: {note}")
        source = replace(source, prefix=loaded.prefix)
    if channels is not None and channels != expected:
        adapt_channels(backbone, model, channels)
    return model, source


def attach_head(
    backbone: BackboneSpec, source: WeightsSource, model: nn.Module, head: str, num_classes: int
) -> Network:
    """Replace the head of upstream's model in place with a new one.

    Args:
        backbone: The backbone of the model.
        source: The weights that the model was initialized with.
        model: The model, none of whose parameters has been frozen yet.
        head: The design of the new head: ``linear`` or ``mlp:W,W``.
        num_classes: The number of outputs of the new head.
    """
    design = HeadDesign.parse(head)
    place = replace_head(backbone, model, num_classes, design)
    return Network(backbone, source, design, model, place, list_fixed(model), list_unused(backbone, model))


@torch.no_grad()
def try_network(network: Network, num_classes: int, device: torch.device) -> None:
    """Run the model on one gray image, so that a mismatch is reported before the data is processed.

    Raises:
        OptionError: If the model cannot process the image size that the user chose.
        PluginError: If the model cannot process its declared input, or if its output does not have the shape
            (1, num_classes).
    """
    name, size = network.backbone.name, network.input.size
    try:
        output = network.model.eval()(torch.zeros(1, *size, device=device))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = f"{name} cannot process an image of {'x'.join(map(str, size))}"
        if network.preprocessing.image_size:
            own = choose_input(network.backbone, network.initial_weights).size[1]
            raise OptionError(
                f"{reason}: {type(error).__name__}: {error}; omit `image_size`, or set it to {own}."
            ) from error
        with naming_place(reason):
            raise
    if list_tensor_fields(output):
        raise PluginError(
            f"{name} returns {describe_output(output)}; its plugin must declare the one that holds the logits as "
            "output_field."
        )
    if not isinstance(output, torch.Tensor) or output.shape != (1, num_classes):
        found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise PluginError(f"{name} outputs {found} for one image and {num_classes} classes, not (1, {num_classes}).")


def build(
    name: str,
    *,
    num_classes: int | None = None,
    weights: str | PathLike[str] | None = None,
    head: str = "linear",
    registry: Registry | None = None,
) -> nn.Module:
    """Build a backbone with its weights.

    Args:
        name: The name of the backbone as ``zoo list`` shows it, with or without the namespace. ``@TAG`` after it
            chooses the weights.
        num_classes: The number of outputs of a new head; None keeps the head that the weights contain.
        weights: ``DEFAULT``, a tag, ``none``, a .safetensors file, or ``hf://owner/name`` for a run on the Hugging Face
            Hub; None means the tag in the name, or ``DEFAULT`` without one.
        head: The design of the new head: ``linear`` or ``mlp:W,W``.
        registry: The registry to search; None means the registry of all installed plugins.

    Returns:
        Upstream's own module, in training mode.

    Raises:
        OptionError: If an argument is invalid, or if ``weights`` is None and the backbone has no published weights.
        NameNotFound: If there is no such backbone, or if it has no such weights.
        WeightsError: If the weights cannot be read or do not match the backbone.
    """
    design = HeadDesign.parse(head)
    if num_classes is None and design.widths:
        raise OptionError(f"the new head {head!r} needs num_classes.")
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise OptionError(f"num_classes must be a whole number of at least 1, got {num_classes!r}.")
    resolved = (registry or open_registry()).resolve(name)
    source = choose_weights(resolved, None if weights is None else fspath(weights))
    model, _ = build_backbone(resolved.backbone, source, Silent())
    if num_classes is not None:
        replace_head(resolved.backbone, model, num_classes, design)
    remember_fixed(model)
    return model
