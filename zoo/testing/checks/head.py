"""Checks of the heads."""

from __future__ import annotations

import copy
from contextlib import suppress

import torch
from torch import nn

from zoo.errors import PluginError
from zoo.models.head import Head, replace_head
from zoo.models.meta_device import build_on_meta
from zoo.registry.head_design import HeadDesign
from zoo.testing.backbone_under_test import AUX_CLASSES, BATCH, NUM_CLASSES, BackboneUnderTest
from zoo.testing.checks.forward import are_close, expect_logits
from zoo.testing.passes import averaging_on_meta, recorded_inputs
from zoo.testing.results.place import find_function
from zoo.testing.results.result import CheckFailed, NotApplicable
from zoo.testing.suggestions import shorten

#: Width of the hidden layer in ``head.mlp``.
WIDTH = 12


def added(backbone: BackboneUnderTest) -> None:
    """Run two images on the meta device: the hook that runs the head requires features of the declared shape.

    ``build.meta`` requires that upstream's model has nothing under the name of the head.
    """
    if backbone.spec.features is None:
        raise NotApplicable("upstream's model has a head")
    try:
        _ = backbone.traced
    except PluginError:
        raise  # its message says what to do
    except Exception:  # noqa: BLE001  # forward.logits reports it
        return


def found(backbone: BackboneUnderTest) -> None:
    """Compare each head's number of outputs with the model's number of logits, as built.

    ``forward.logits`` compares the number of logits with num_classes.
    """
    wanted = _count_logits(backbone)
    for path in (*backbone.head.paths, *backbone.head.aux_paths):
        layer = backbone.meta.get_submodule(path)
        if not _is_plain(layer):
            raise CheckFailed(
                f"the head {path} is a {type(layer).__name__} that does more than its base class, which replaces it; "
                "move what it does to its input into a module before it.",
                find_function(type(layer).forward),
            )
        outputs = len(backbone.meta.get_parameter(f"{path}.weight"))
        if outputs != wanted:
            raise CheckFailed(
                f"the head {path} has {outputs} outputs, but the model has {wanted} logits; declare a different layer."
            )


@torch.no_grad()
def _is_plain(layer: nn.Module) -> bool:
    """Return whether a layer with a forward() of its own computes the same as its base class does."""
    base: type[nn.Linear | nn.Conv2d] = nn.Linear if isinstance(layer, nn.Linear) else nn.Conv2d
    if type(layer).forward is base.forward:
        return True
    copied = copy.deepcopy(layer).to_empty(device="cpu").float()
    assert isinstance(copied, (nn.Linear, nn.Conv2d)), "get_head ensures this"
    generator = torch.Generator().manual_seed(0)
    for tensor in (*copied.parameters(), *copied.buffers()):
        tensor.copy_(torch.randn(tensor.shape, generator=generator))
    size = (2, copied.in_features) if isinstance(copied, nn.Linear) else (2, copied.in_channels, 8, 8)
    features = torch.randn(size, generator=generator)
    return are_close(copied(features), base.forward(copied, features), 1e-4)  # type: ignore[arg-type]  # they match


def _count_logits(backbone: BackboneUnderTest) -> int:
    """Return the number of logits per image, or num_classes if the forward pass fails."""
    with suppress(Exception):  # forward.logits reports the error
        output = backbone.traced.output
        if isinstance(output, torch.Tensor) and output.ndim == 2:
            return output.shape[1]
    return backbone.spec.num_classes


def fed(backbone: BackboneUnderTest) -> None:
    """Record the inputs of each head, because zoo caches them and gives new heads their width."""
    for path, inputs in backbone.traced.inputs.items():
        if len(inputs) != 1:
            raise CheckFailed(
                f"a forward pass calls the head {path} {len(inputs)} times; call it once, as a module, on the features."
            )
        layer, shape = backbone.meta.get_submodule(path), inputs[0].shape
        is_linear = isinstance(layer, nn.Linear)
        width, given = (layer.in_features, shape[-1]) if is_linear else (layer.in_channels, shape[1])
        if given != width:
            raise CheckFailed(f"the head {path} expects {width} features, but its input has {given}.")


def complete(backbone: BackboneUnderTest) -> None:
    """Attach new heads: the size of every output must change.

    This also detects a hidden layer that is declared as the head and has the same number of outputs.
    """
    outputs = backbone.trained
    if isinstance(outputs, Exception):
        raise CheckFailed(_describe_failure(backbone, outputs)) from outputs
    shapes = [tuple(output.shape) for output in outputs]
    first, *others = (BATCH, NUM_CLASSES), *[(BATCH, AUX_CLASSES)] * len(backbone.head.aux_paths)
    if odd := [shape for shape in shapes if shape not in (first, *others)]:
        raise CheckFailed(
            f"with new heads of {NUM_CLASSES} classes, an output in training mode has shape {odd[0]}; "
            "declare its layer in head, or in aux_heads if only training uses it."
        )
    if shapes != [first, *others]:
        fault = f"it returns {len(shapes)} outputs, but has {len(others)} declared aux_heads"
        if len(shapes) == 1 + len(others):
            fault = "an auxiliary head's logits come first, or replace the head's logits"
        raise CheckFailed(
            f"in training mode, {fault}; return the logits, followed by the logits of each auxiliary head."
        )


@torch.no_grad()
def _describe_failure(backbone: BackboneUnderTest, failure: Exception) -> str:
    """Describe whether the new heads break the model or it fails anyway."""
    num_classes = backbone.spec.num_classes
    model, _ = backbone.attach_heads(num_classes)
    try:
        with averaging_on_meta(model):
            model.train()(backbone.make_meta_images(backbone.smallest_size))
    except Exception as own:  # noqa: BLE001  # it is reported
        return f"in training mode, it fails even with heads of its own {num_classes} classes: {own}; fix forward()."
    return (
        f"with new heads of {NUM_CLASSES} classes, it fails in training mode: {failure}; "
        "either a head is not declared, or forward() does not derive the number of classes from the head."
    )


def replaced(backbone: BackboneUnderTest) -> None:
    """Run the model with new heads on the meta device, in eval mode."""
    for num_classes in (1, 2, 1000):
        model, _ = backbone.attach_heads(num_classes)
        when = f"with new heads (num_classes={num_classes})"
        advice = "only the heads may determine the number of logits"
        expect_logits(model, backbone.make_meta_images(), num_classes, when, advice)


def alone(backbone: BackboneUnderTest) -> None:
    """Compare names, shapes and dtypes before and after, and the identity of all objects."""
    model, head = backbone.attach_heads(1)
    names, before = model.state_dict().keys(), _list_others(model, head)
    replace_head(backbone.spec, model, NUM_CLASSES, HeadDesign())
    after = _list_others(model, head)
    odd = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if odd := odd + sorted(names ^ model.state_dict().keys()):
        raise CheckFailed(
            f"replacing its head also changes {shorten(odd)}; assigning a layer must not change anything else."
        )


def typed(backbone: BackboneUnderTest) -> None:
    """Attach new heads on the meta device, which is not the default device of new layers."""
    model, head = backbone.attach_heads(1)
    try:
        for dtype in (torch.bfloat16, torch.float64):
            replace_head(backbone.spec, model.to(dtype), NUM_CLASSES, HeadDesign())
            for path in head.paths:
                weight = model.get_parameter(f"{path}.weight")
                if (weight.dtype, weight.device.type) != (dtype, backbone.device.type):
                    actual = f"{weight.dtype} on {weight.device}"
                    raise CheckFailed(
                        f"in a model of {dtype} on {backbone.device}, a new head {path} is {actual}; do not cast it."
                    )
    finally:
        model.to(torch.float32)  # Other checks also use this model.


def mlp(backbone: BackboneUnderTest) -> None:
    """Attach a head as ``--head mlp:12`` does."""
    if backbone.spec.classifier is None:
        raise NotApplicable("it declares no classifier around its head")
    model = build_on_meta(backbone.spec)
    replace_head(backbone.spec, model, NUM_CLASSES, HeadDesign((WIDTH,)))
    advice = "declare a classifier whose input is also the input of its first linear layer"
    expect_logits(model.eval(), backbone.make_meta_images(), NUM_CLASSES, f"with an mlp:{WIDTH} head", advice)


@torch.no_grad()
def replayed(backbone: BackboneUnderTest) -> None:
    """Run the heads on their recorded inputs. If there are several, their mean counts, as in distilled networks.

    With images of the smallest size, a pooling layer may see a single pixel, and a ReLU may see only positive values.
    Therefore, shapes are checked at the declared size, and logits are also compared with the signs of the head's
    parameters flipped.
    """
    if names := backbone.head.parameters:
        raise NotApplicable(f"the parameters {shorten(names)} of the head are outside of its layers")
    wanted, network = (BATCH, backbone.spec.num_classes), backbone.network
    parameters = [own for path in network.head.paths for own in network.model.get_submodule(path).parameters()]
    logits = [backbone.meta.get_submodule(path)(features) for path, (features,) in backbone.traced.inputs.items()]
    is_replayed = all(own.flatten(1).shape == wanted for own in logits)
    for _ in range(2):  # After two negations, the parameters have their old values, bit for bit.
        is_replayed = is_replayed and _is_replayed(backbone)
        for parameter in parameters:
            parameter.neg_()
    if not is_replayed:
        raise CheckFailed(
            "its head, run on its recorded input, does not return the model's logits: something follows the head. "
            "Declare cached_features in unsupported, with the reason; zoo will cache earlier features if it can."
        )


def _is_replayed(backbone: BackboneUnderTest) -> bool:
    model, paths = backbone.network.model, backbone.network.head.paths
    with recorded_inputs(model, paths) as inputs:
        wanted = backbone.run(backbone.images)
    logits = [model.get_submodule(path)(features).flatten(1) for path, (features,) in inputs.items()]
    return all(own.shape == wanted.shape for own in logits) and are_close(torch.stack(logits).mean(0), wanted, 1e-5)


def _list_others(model: nn.Module, head: Head) -> dict[str, object]:
    """Map the names of everything outside the heads to the properties that must not change."""
    others: dict[str, object] = {}
    for named in (model.named_parameters, model.named_buffers):
        others |= {name: (id(own), own.shape, own.dtype) for name, own in named(remove_duplicate=False)}
    for name, own in model.named_modules(remove_duplicate=False):
        others[f"module {name}"] = (id(own), type(own))
    return {name: kept for name, kept in others.items() if not head.covers(name.removeprefix("module "))}
