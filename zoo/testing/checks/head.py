"""Promises of the heads."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import nn

from zoo.models.head import Head, replace_head
from zoo.models.meta_device import build_on_meta
from zoo.registry.head_design import HeadDesign
from zoo.testing.backbone_under_test import AUX_CLASSES, BATCH, NUM_CLASSES, BackboneUnderTest
from zoo.testing.checks.forward import are_close, expect_logits
from zoo.testing.observations import Prediction
from zoo.testing.results.result import CheckFailed, NotApplicable
from zoo.testing.suggestions import name_some

#: Of the layers of ``--head mlp:W``.
WIDTH = 12


def found(backbone: BackboneUnderTest) -> None:
    """In the model as built, with an output for each logit; their declared number is another check's business."""
    wanted = _count_logits(backbone)
    for path in (*backbone.head.paths, *backbone.head.aux_paths):
        outputs = len(backbone.meta.get_parameter(f"{path}.weight"))
        if outputs != wanted:
            raise CheckFailed(
                f"the head {path} has {outputs} outputs, and there are {wanted} logits; name another layer."
            )


def _count_logits(backbone: BackboneUnderTest) -> int:
    """Return how many logits the model gives for an image, or how many it declares if it gives none."""
    with suppress(Exception):  # forward.logits reports it
        output = backbone.traced.output
        if isinstance(output, torch.Tensor) and output.ndim == 2:
            return output.shape[1]
    return backbone.spec.num_classes


def fed(backbone: BackboneUnderTest) -> None:
    """What enters a head is what zoo caches, and its width is that of a new head."""
    for path, entered in backbone.traced.entered.items():
        if len(entered) != 1:
            raise CheckFailed(
                f"the head {path} is called {len(entered)} times a pass; call it once, as a module, on the features."
            )
        layer, shape = backbone.meta.get_submodule(path), entered[0].shape
        is_linear = isinstance(layer, nn.Linear)
        width, given = (layer.in_features, shape[-1]) if is_linear else (layer.in_channels, shape[1])
        if given != width:
            raise CheckFailed(f"the head {path} takes {width} features and is given {given}.")


def complete(backbone: BackboneUnderTest) -> None:
    """With new heads all outputs must change: a hidden layer may have as many outputs as a head."""
    outputs = backbone.trained
    if isinstance(outputs, Exception):
        raise CheckFailed(_describe_failure(backbone, outputs)) from outputs
    shapes = [tuple(output.shape) for output in outputs]
    first, *others = (BATCH, NUM_CLASSES), *[(BATCH, AUX_CLASSES)] * len(backbone.head.aux_paths)
    if odd := [shape for shape in shapes if shape not in (first, *others)]:
        raise CheckFailed(
            f"with new heads of {NUM_CLASSES} classes an output in training is of shape {odd[0]}: declare its layer in "
            "head, or in aux_heads if it is used in training only."
        )
    if shapes != [first, *others]:
        fault = f"it gives {len(shapes)} outputs, and declares {len(others)} aux_heads"
        if len(shapes) == 1 + len(others):
            fault = "an auxiliary head's logits come first, or in place of the head's"
        raise CheckFailed(f"in training {fault}; it must give the logits, followed by those of each auxiliary head.")


@torch.no_grad()
def _describe_failure(backbone: BackboneUnderTest, failure: Exception) -> str:
    """Say whether the new heads break the model, or it fails anyway."""
    num_classes = backbone.spec.num_classes
    model, _ = backbone.attach_heads(num_classes)
    try:
        model.train()(backbone.make_meta_images(backbone.smallest_size))
    except Exception as own:  # noqa: BLE001  # it is reported
        return f"in training it fails, with heads of its own {num_classes} classes too: {own}; mend it."
    return (
        f"with new heads of {NUM_CLASSES} classes it fails in training: {failure}; "
        "either a head is not declared, or forward() takes the number of classes from elsewhere than the head."
    )


def replaced(backbone: BackboneUnderTest) -> None:
    """In eval mode, on the meta device."""
    for num_classes in (1, 2, 1000):
        model, _ = backbone.attach_heads(num_classes)
        when, cure = f"with a new head for {num_classes} classes", "let the head alone decide how many there are"
        expect_logits(model, backbone.make_meta_images(), num_classes, when, cure)


def alone(backbone: BackboneUnderTest) -> None:
    """Names, shapes, dtypes, and that the objects are the same ones."""
    model, head = backbone.attach_heads(1)
    names, before = model.state_dict().keys(), _list_others(model, head)
    replace_head(backbone.spec, model, NUM_CLASSES, HeadDesign())
    after = _list_others(model, head)
    odd = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if odd := odd + sorted(names ^ model.state_dict().keys()):
        raise CheckFailed(f"replacing its head changes {name_some(odd)} as well; let assigning a layer do no more.")


def typed(backbone: BackboneUnderTest) -> None:
    """On the meta device, which is another one than new layers are on by default."""
    model, head = backbone.attach_heads(1)
    try:
        for dtype in (torch.bfloat16, torch.float64):
            replace_head(backbone.spec, model.to(dtype), NUM_CLASSES, HeadDesign())
            for path in head.paths:
                weight = model.get_parameter(f"{path}.weight")
                if (weight.dtype, weight.device.type) != (dtype, "meta"):
                    found = f"{weight.dtype} on {weight.device}"
                    raise CheckFailed(
                        f"a new head {path} in a model of {dtype} on meta is {found}; let nothing cast it."
                    )
    finally:
        model.to(torch.float32)  # other checks use it too


def mlp(backbone: BackboneUnderTest) -> None:
    """``--head mlp:12``."""
    if backbone.spec.classifier is None:
        raise NotApplicable("it declares no classifier around its head")
    model = build_on_meta(backbone.spec)
    replace_head(backbone.spec, model, NUM_CLASSES, HeadDesign((WIDTH,)))
    cure = "declare as classifier what takes the features that its first linear layer takes"
    expect_logits(model.eval(), backbone.make_meta_images(), NUM_CLASSES, f"with a head mlp:{WIDTH}", cure)


@torch.no_grad()
def replayed(backbone: BackboneUnderTest) -> None:
    """The mean of several heads, as in distilled networks.

    At the smallest size a pool may see a single pixel, and a ReLU passes what is positive by chance. So the shapes are
    those of the declared size, and the negated heads must pass as well.
    """
    wanted, network = (BATCH, backbone.spec.num_classes), backbone.network
    parameters = [own for path in network.head.paths for own in network.model.get_submodule(path).parameters()]
    logits = [backbone.meta.get_submodule(path)(entered) for path, (entered,) in backbone.traced.entered.items()]
    is_replayed = all(own.flatten(1).shape == wanted for own in logits)
    for _ in range(2):  # negated twice they are what they were, bit for bit
        is_replayed = is_replayed and _is_replayed(network.model, backbone.predict())
        for parameter in parameters:
            parameter.neg_()
    if not is_replayed:
        raise CheckFailed(
            "its head, run on what entered it, does not give its logits: something follows the head. "
            "Say why in unsupported, under cached_features, and zoo will take features before it, where it can."
        )


def _is_replayed(model: nn.Module, prediction: Prediction) -> bool:
    found = [model.get_submodule(path)(entered).flatten(1) for path, (entered,) in prediction.features.items()]
    wanted = prediction.logits
    return all(logits.shape == wanted.shape for logits in found) and are_close(torch.stack(found).mean(0), wanted, 1e-5)


def _list_others(model: nn.Module, head: Head) -> dict[str, object]:
    """Map all parameters, buffers and modules but the heads' own to what must not change of them."""
    others: dict[str, object] = {}
    for named in (model.named_parameters, model.named_buffers):
        others |= {name: (id(own), own.shape, own.dtype) for name, own in named(remove_duplicate=False)}
    others = {name: kept for name, kept in others.items() if not head.covers(name)}
    modules = model.named_modules(remove_duplicate=False)
    return others | {f"module {name}": (id(own), type(own)) for name, own in modules if not head.covers(name)}
