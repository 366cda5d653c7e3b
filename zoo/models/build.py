"""From a spec to a model with its weights, and to a network for the user's classes."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath

import torch
from torch import nn

from zoo.errors import OptionError, PluginError, ZooError, is_out_of_memory
from zoo.models.head import Head, replace_head
from zoo.models.weights.choose import WeightsSource, choose_weights, input_for
from zoo.models.weights.load import load_tensors, read_start
from zoo.plugin import BackboneSpec, InputSpec
from zoo.progress import Progress, Silent
from zoo.registry.head_design import HeadDesign
from zoo.registry.registry import Registry, open_registry


@dataclass(frozen=True)
class Network:
    """A backbone with a head for the user's classes."""

    backbone: BackboneSpec
    start: WeightsSource
    design: HeadDesign
    model: nn.Module
    head: Head

    @property
    def input(self) -> InputSpec:
        """How an image becomes what the model expects."""
        return input_for(self.backbone, self.start.tag)


def build_model(backbone: BackboneSpec, tag: str | None) -> nn.Module:
    """Let the plugin build upstream's model.

    Raises:
        PluginError: it cannot.
    """
    try:
        model = backbone.build(tag)
    except ZooError:
        raise
    except Exception as error:
        raise PluginError(f"{backbone.name} cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(model, nn.Module):
        raise PluginError(f"{backbone.name} cannot be built: its build returns a {type(model).__name__}, no module.")
    return model


def build_backbone(backbone: BackboneSpec, start: WeightsSource, progress: Progress) -> nn.Module:
    """Build upstream's model and load what it starts from; its head is that of the file.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    tensors = read_start(start, progress)
    model = build_model(backbone, start.tag)
    for note in [] if start.is_random else load_tensors(backbone, model, start, tensors):
        progress.say(f"note: {note}")
    return model


def attach_head(backbone: BackboneSpec, start: WeightsSource, model: nn.Module, head: str, num_classes: int) -> Network:
    """Give a built backbone a new head, ``linear`` or ``mlp:W,W``, for that many classes."""
    design = HeadDesign.parse(head)
    return Network(backbone, start, design, model, replace_head(backbone, model, num_classes, design))


@torch.no_grad()
def try_network(network: Network, num_classes: int, device: torch.device) -> None:
    """Let one grey image through, so that what does not fit together is said before the data is worked through.

    Raises:
        PluginError: the model cannot take its declared input, or does not give logits of shape (N, num_classes).
    """
    name, size = network.backbone.name, network.input.size
    shown = "x".join(map(str, size))
    try:
        output = network.model.eval()(torch.zeros(1, *size, device=device))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise PluginError(f"{name} cannot take an image of {shown}: {type(error).__name__}: {error}") from error
    if not isinstance(output, torch.Tensor) or output.shape != (1, num_classes):
        found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise PluginError(f"{name} gives {found} for one image and {num_classes} classes, not (1, {num_classes}).")


def build(
    name: str,
    *,
    num_classes: int | None = None,
    weights: str | PathLike[str] | None = None,
    head: str = "linear",
    registry: Registry | None = None,
) -> nn.Module:
    """Build a backbone with its weights; it is upstream's own module, in training mode.

    Args:
        name: as ``zoo list`` shows it, bare or qualified, with ``@TAG`` for given weights.
        num_classes: outputs of the new head; None keeps the head of the weights.
        weights: ``DEFAULT``, a tag, ``none`` or a .safetensors file; None: the tag in the name, else ``DEFAULT``.
        head: ``linear`` or ``mlp:W,W``.
        registry: where the name is looked up; None: all installed plugins.

    Raises:
        OptionError: an argument cannot be meant, or no weights are published and none were given.
        NameNotFound: there is no such backbone, or no such weights.
        WeightsError: the weights cannot be had or do not fit.
    """
    design = HeadDesign.parse(head)
    if num_classes is None and design.widths:
        raise OptionError(f"the head {head!r} is new, and needs num_classes.")
    if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
        raise OptionError(f"num_classes is {num_classes!r}; it must be a whole number of at least 1.")
    resolved = (registry or open_registry()).resolve(name)
    model = build_backbone(
        resolved.backbone, choose_weights(resolved, None if weights is None else fspath(weights)), Silent()
    )
    if num_classes is not None:
        replace_head(resolved.backbone, model, num_classes, design)
    return model
