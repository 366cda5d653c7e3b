"""Find the last layers of a backbone and replace them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.plugins.isolation import naming_place
from zoo.registry.plugins.place import find_definition

#: Dropout probability in an MLP head, as in the classifiers of AlexNet and VGG.
MLP_DROPOUT = 0.5


@dataclass(frozen=True)
class Head:
    """The location of the head in a model."""

    #: Dotted paths of the layers that output the logits. For a new MLP head, these are the paths of the complete MLPs.
    paths: tuple[str, ...]
    #: Dotted paths of the auxiliary heads, which are used in training only.
    aux_paths: tuple[str, ...] = ()
    #: Names of parameters that belong to the head, but to none of its layers.
    parameters: tuple[str, ...] = ()

    @property
    def trained(self) -> tuple[str, ...]:
        """Prefixes of the names of all parameters of the head, without those of auxiliary heads."""
        return (*self.paths, *self.parameters)

    @property
    def layers(self) -> tuple[str, ...]:
        """Dotted paths of the head's layers and of all auxiliary heads."""
        return (*self.paths, *self.aux_paths)

    def covers(self, name: str) -> bool:
        """Return whether a parameter or module with a dotted name belongs to the head or to an auxiliary head."""
        return is_below_any(name, (*self.trained, *self.aux_paths))


def is_below(name: str, prefix: str) -> bool:
    """Return whether a dotted name equals a prefix or is under it."""
    return name == prefix or name.startswith(f"{prefix}.")


def is_below_any(name: str, prefixes: Iterable[str]) -> bool:
    """Return whether a dotted name equals one of several prefixes or is under one of them."""
    return any(is_below(name, prefix) for prefix in prefixes)


def get_head(backbone: BackboneSpec, model: nn.Module) -> Head:
    """Return the location of upstream's own head in the model that the plugin built.

    Raises:
        PluginError: If a declared path does not name a linear or convolutional layer, or if a declared parameter does
            not exist or is part of one of these layers.
    """
    paths = _find_paths(backbone, model) if callable(backbone.head) else backbone.head
    head = Head(tuple(paths), backbone.aux_heads, backbone.head_parameters)
    for path in head.layers:
        _get_layer(backbone, model, path)
    for name in head.parameters:
        _require_parameter(backbone, model, head, name)
    return head


def _require_parameter(backbone: BackboneSpec, model: nn.Module, head: Head, name: str) -> None:
    if is_below_any(name, head.layers):
        raise PluginError(
            f"{backbone.name} declares the head parameter {name!r}, which is part of a layer of the head; remove it "
            "from head_parameters."
        )
    names = [own for own, _ in model.named_parameters(remove_duplicate=False)]
    if name not in names:
        similar = [own for own in names if own.rpartition(".")[2] == name.rpartition(".")[2]]
        outside = [own for own in names if "." not in own]
        listed = ", ".join((similar or outside)[:3]) or "none"
        raise PluginError(
            f"{backbone.name} declares the head parameter {name!r}, but its model has no such parameter; similar "
            f"parameters are {listed}."
        )


def _find_paths(backbone: BackboneSpec, model: nn.Module) -> tuple[str, ...]:
    """Call the plugin's function that finds the head in the built model."""
    assert callable(backbone.head)
    with naming_place(f"{backbone.name} cannot find its head"):
        paths = backbone.head(model)
    if not (isinstance(paths, tuple) and paths and all(isinstance(path, str) for path in paths)):
        place = find_definition(backbone.head)
        raise PluginError(
            f"head(){place} of {backbone.name} returned {paths!r:.80}; it must return a tuple of dotted paths."
        )
    return paths


def replace_head(
    backbone: BackboneSpec,
    model: nn.Module,
    num_classes: int,
    design: HeadDesign,
    device: torch.device | None = None,
) -> Head:
    """Replace the head of a model in place with a new one. Auxiliary heads are replaced as well.

    ``linear`` replaces the last layer with one of the same kind, so upstream's parameter names stay the same.
    ``mlp:W,W`` replaces the declared classifier, or the last layer if none is declared. The rest of the model is not
    changed, including parameters that belong to the head but to none of its layers.

    Args:
        backbone: The backbone of the model.
        model: The model, with upstream's own head.
        num_classes: Number of outputs of the new head.
        design: Design of the new head.
        device: Device of the new head. Default: the device of the old one.

    Returns:
        The location of the new head. It is randomly initialized and has the dtype of the old one.

    Raises:
        PluginError: If a declared path does not name a layer that can be replaced.
    """
    old = get_head(backbone, model)
    resized = old.aux_paths if design.widths else (*old.aux_paths, *old.paths)
    for path in resized:
        model.set_submodule(path, _resize(_get_layer(backbone, model, path), num_classes, device), strict=True)
    if not design.widths:
        return old
    regions = old.paths if backbone.classifier is None else (backbone.classifier,)
    for path in regions:
        first = _resize(_get_first_layer(backbone, model, path), design.widths[0], device)
        model.set_submodule(path, nn.Sequential(*_build_mlp(first, design.widths, num_classes)), strict=True)
    return Head(
        tuple(regions), old.aux_paths, tuple(name for name in old.parameters if not is_below_any(name, regions))
    )


def _get_layer(backbone: BackboneSpec, model: nn.Module, path: str) -> nn.Linear | nn.Conv2d:
    layer = _get_module(backbone, model, path)
    if not isinstance(layer, (nn.Linear, nn.Conv2d)):
        kind = type(layer).__name__
        raise PluginError(f"{backbone.name} declares the head {path!r}, which is a {kind}, not a Linear or Conv2d.")
    return layer


def _get_module(backbone: BackboneSpec, model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        layers = [name for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))]
        last = ", ".join(layers[-3:]) or "none"
        raise PluginError(
            f"{backbone.name} declares the head or classifier {path!r}, but its model has no such layer; "
            f"its last linear or convolutional layers are {last}. If the model has no head and returns features, "
            "declare their number in features."
        ) from error


def _get_first_layer(backbone: BackboneSpec, model: nn.Module, path: str) -> nn.Linear | nn.Conv2d:
    for layer in _get_module(backbone, model, path).modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            return layer
    raise PluginError(
        f"{backbone.name} declares the classifier {path!r}, which contains no linear or convolutional layer."
    )


def _build_mlp(first: nn.Linear | nn.Conv2d, widths: tuple[int, ...], num_classes: int) -> Iterator[nn.Module]:
    # The MLP of a convolutional head consists of convolutions, because a pooling layer may follow it.
    layer = first
    for width in (*widths[1:], num_classes):
        yield layer
        yield nn.ReLU(inplace=True)
        yield nn.Dropout(MLP_DROPOUT)
        layer = _follow(layer, width)
    yield layer


def _resize(old: nn.Linear | nn.Conv2d, num_outputs: int, device: torch.device | None = None) -> nn.Linear | nn.Conv2d:
    """Build a layer like an old one, with a different number of outputs."""
    bias, device, dtype = old.bias is not None, device or old.weight.device, old.weight.dtype
    if isinstance(old, nn.Linear):
        return nn.Linear(old.in_features, num_outputs, bias=bias, device=device, dtype=dtype)
    return nn.Conv2d(
        old.in_channels,
        num_outputs,
        cast("tuple[int, int]", old.kernel_size),
        stride=cast("tuple[int, int]", old.stride),
        padding=cast("tuple[int, int]", old.padding),
        dilation=cast("tuple[int, int]", old.dilation),
        bias=bias,
        device=device,
        dtype=dtype,
    )


def _follow(layer: nn.Linear | nn.Conv2d, num_outputs: int) -> nn.Linear | nn.Conv2d:
    """Build a layer of the same kind as ``layer`` that follows it. A convolution has a kernel size of 1."""
    bias, device, dtype = layer.bias is not None, layer.weight.device, layer.weight.dtype
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.out_features, num_outputs, bias=bias, device=device, dtype=dtype)
    return nn.Conv2d(layer.out_channels, num_outputs, 1, bias=bias, device=device, dtype=dtype)
