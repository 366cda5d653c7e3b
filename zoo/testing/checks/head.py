"""Promises of the heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo.models.head import Head, replace_head
from zoo.models.meta_device import build_on_meta
from zoo.registry.head_design import HeadDesign
from zoo.testing.backbone_under_test import AUX_CLASSES, BATCH, NUM_CLASSES
from zoo.testing.checks.forward import are_close
from zoo.testing.results.result import CheckFailed, NotApplicable

if TYPE_CHECKING:
    from zoo.models.build import Network
    from zoo.testing.backbone_under_test import Subject
    from zoo.testing.observations import Answer

#: Of the layers of ``--head mlp:W``.
WIDTH = 12


def found(subject: Subject) -> None:
    """In the model as built; as many outputs as there are logits, for what is declared of these another check tells."""
    wanted = _count_logits(subject)
    for path in (*subject.head.paths, *subject.head.aux_paths):
        outputs = len(subject.meta.get_parameter(f"{path}.weight"))
        if outputs != wanted:
            raise CheckFailed(
                f"the head {path} has {outputs} outputs, and there are {wanted} logits; name another layer."
            )


def _count_logits(subject: Subject) -> int:
    """Return how many logits an image gives, or as many as are declared where none can be had."""
    try:
        output = subject.traced.output
    except Exception:  # noqa: BLE001  # forward.logits tells it
        output = None
    if isinstance(output, torch.Tensor) and output.ndim == 2:
        return output.shape[1]
    return subject.backbone.num_classes


def fed(subject: Subject) -> None:
    """What enters a head is what `zoo` caches, and what a new head is as wide as."""
    for path, shapes in subject.traced.entered.items():
        if len(shapes) != 1:
            raise CheckFailed(
                f"the head {path} is called {len(shapes)} times a pass; call it once, as a module, on the features."
            )
        layer = subject.meta.get_submodule(path)
        width = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
        given = shapes[0][-1] if isinstance(layer, nn.Linear) else shapes[0][1]
        if given != width:
            raise CheckFailed(f"the head {path} takes {width} features and is given {given}.")


def complete(subject: Subject) -> None:
    """Behaviour tells a head from a hidden layer of as many outputs: with new heads, all outputs must change."""
    outputs = subject.trained
    if isinstance(outputs, Exception):
        raise CheckFailed(_describe_failure(subject, outputs)) from outputs
    shapes, (first, *others) = [tuple(output.shape) for output in outputs], _list_wanted(subject)
    if odd := [shape for shape in shapes if shape not in (first, *others)]:
        raise CheckFailed(
            f"with new heads of {NUM_CLASSES} classes an output in training is of shape {odd[0]}: declare its layer in "
            "head, or in aux_heads if it speaks in training only."
        )
    if len(shapes) != 1 + len(others):
        raise CheckFailed(
            f"in training it gives {len(shapes)} outputs, and declares {len(others)} aux_heads; "
            "it must give the logits, followed by those of each auxiliary head."
        )
    if shapes != [first, *others]:
        raise CheckFailed(
            "in training an auxiliary head's logits come first, or in place of the head's; "
            "it must give the logits, followed by those of each auxiliary head."
        )


def _describe_failure(subject: Subject, failure: Exception) -> str:
    """Tell what new heads break from what is broken anyway."""
    model, _ = subject.get_spare(subject.backbone.num_classes)
    try:
        with torch.no_grad():
            model.train()(subject.draw_nothing(subject.smallest_size))
    except Exception as own:  # noqa: BLE001  # it is told
        return (
            f"in training it fails, with heads of its own {subject.backbone.num_classes} classes too: {own}; mend it."
        )
    return (
        f"with new heads of {NUM_CLASSES} classes it fails in training: {failure}; "
        "either a head is not declared, or forward() takes the number of classes from elsewhere than the head."
    )


def _list_wanted(subject: Subject) -> list[tuple[int, int]]:
    """List the shapes of what `Subject.try_training` must give."""
    return [(BATCH, NUM_CLASSES), *[(BATCH, AUX_CLASSES)] * len(subject.head.aux_paths)]


def replaced(subject: Subject) -> None:
    """In eval mode, on the meta device."""
    for num_classes in (1, 2, 1000):
        model, head = subject.get_spare(num_classes)
        if not _has_heads_of(subject.meta, model, head):  # else forward.logits is that very pass
            _expect_columns(subject, model, num_classes, "let the head alone decide how many there are")


def alone(subject: Subject) -> None:
    """Names, shapes, dtypes, and that the objects are the same ones."""
    model, head = subject.get_spare(1)
    names, before = list(model.state_dict()), _list_others(model, head)
    replace_head(subject.backbone, model, NUM_CLASSES, HeadDesign())
    after = _list_others(model, head)
    odd = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    odd += sorted({*names} ^ {*model.state_dict()})
    if odd:
        raise CheckFailed(f"replacing its head changes {', '.join(odd[:3])} as well; let assigning a layer do no more.")


def typed(subject: Subject) -> None:
    """On the meta device, which is another one than new layers are on by default."""
    model, head = subject.get_spare(1)
    try:
        for dtype in (torch.bfloat16, torch.float64):
            replace_head(subject.backbone, model.to(dtype), NUM_CLASSES, HeadDesign())
            _expect_kind(model, head, dtype)
    finally:
        model.to(torch.float32)  # other checks use it too


def mlp(subject: Subject) -> None:
    """``--head mlp:12``."""
    if subject.backbone.classifier is None:
        raise NotApplicable("it declares no classifier around its head")
    model = build_on_meta(subject.backbone)
    replace_head(subject.backbone, model, NUM_CLASSES, HeadDesign((WIDTH,)))
    cure = "declare as classifier what takes the features that its first linear layer takes"
    _expect_columns(subject, model.eval(), NUM_CLASSES, cure)


def replayed(subject: Subject) -> None:
    """Of several heads the mean, as networks that learn from a teacher take it.

    At the smallest size a pool may find but one pixel, and a ReLU passes what is positive by chance: so shapes are
    looked at for the declared size, and what holds for a head must hold for its opposite.
    """
    is_replayed = _keeps_shape(subject) and _is_replayed(subject.network, subject.answer)
    if is_replayed:
        with _negated(subject.network):
            is_replayed = _is_replayed(subject.network, subject.ask())
    if not is_replayed:
        raise CheckFailed(
            "its head, run on what entered it, does not give its logits: something follows the head. "
            "Say why in unsupported, under cached_features, and zoo will take features before it, where it can."
        )


@torch.no_grad()
def _keeps_shape(subject: Subject) -> bool:
    """Whether the heads of the model as built give what has the shape of logits, on the meta device."""
    wanted = (BATCH, subject.backbone.num_classes)
    made = [
        subject.meta.get_submodule(path)(torch.empty(shape, device="meta"))
        for path, (shape,) in subject.traced.entered.items()
    ]
    return all(logits.flatten(1).shape == wanted for logits in made)


@torch.no_grad()
def _is_replayed(network: Network, answer: Answer) -> bool:
    found = [network.model.get_submodule(path)(entered).flatten(1) for path, entered in answer.features.items()]
    wanted = answer.logits
    return all(logits.shape == wanted.shape for logits in found) and are_close(torch.stack(found).mean(0), wanted, 1e-5)


@contextmanager
def _negated(network: Network) -> Iterator[None]:
    """Let the heads give the opposite of their logits, and put them back as they were, bit for bit."""
    parameters = [own for path in network.head.paths for own in network.model.get_submodule(path).parameters()]
    _negate(parameters)
    yield
    _negate(parameters)


@torch.no_grad()
def _negate(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.neg_()


def _expect_columns(subject: Subject, model: nn.Module, num_classes: int, cure: str) -> None:
    try:
        with torch.no_grad():
            shape = tuple(model(subject.draw_nothing()).shape)
    except Exception as error:
        raise CheckFailed(f"with a new head for {num_classes} classes it fails: {error}; {cure}.") from error
    if shape != (2, num_classes):
        raise CheckFailed(f"with a new head for {num_classes} classes it gives {shape} for two images; {cure}.")


def _has_heads_of(one: nn.Module, other: nn.Module, head: Head) -> bool:
    paths = [f"{path}.weight" for path in (*head.paths, *head.aux_paths)]
    return all(one.get_parameter(path).shape == other.get_parameter(path).shape for path in paths)


def _expect_kind(model: nn.Module, head: Head, dtype: torch.dtype) -> None:
    for path in head.paths:
        weight = model.get_parameter(f"{path}.weight")
        if (weight.dtype, weight.device.type) != (dtype, "meta"):
            found = f"{weight.dtype} on {weight.device}"
            raise CheckFailed(f"a new head {path} in a model of {dtype} on meta is {found}; let nothing cast it.")


def _list_others(model: nn.Module, head: Head) -> dict[str, object]:
    """Map all but the heads' own to what must stay: the object, and its class or its shape and dtype."""
    tensors = {
        name: (id(tensor), tensor.shape, tensor.dtype)
        for named in (model.named_parameters, model.named_buffers)
        for name, tensor in named(remove_duplicate=False)
    }
    modules = {
        f"module {name}": (id(module), type(module)) for name, module in model.named_modules(remove_duplicate=False)
    }
    return {
        name: kept for name, kept in {**tensors, **modules}.items() if not head.covers(name.removeprefix("module "))
    }
