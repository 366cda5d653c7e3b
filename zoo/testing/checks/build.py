"""Promises of building: offline, clean, and the network that was declared."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from zoo.models.meta_device import build_on_meta, make_on_meta
from zoo.models.weights.choose import input_for
from zoo.testing.isolation.side_effects import watching
from zoo.testing.results.result import CheckFailed, NotApplicable

if TYPE_CHECKING:
    from torch import nn

    from zoo.testing.backbone_under_test import Subject

#: What ``build.upstream`` builds: any number of classes but that of the network as built.
CLASSES = 2


def offline(subject: Subject) -> None:
    """On the meta device; a connection is refused, and noted."""
    _, watched = subject.building
    if watched.connections:
        raise CheckFailed(f"building connects to {watched.connections[0]}; weights come in by their WeightsSpec.")


def meta(subject: Subject) -> None:
    """On the meta device, twice: two models have nothing in common."""
    _, watched = subject.building
    if watched.error is not None:
        said = str(watched.error).rstrip(".")
        cure = (
            "do not read values of tensors: here, on the meta device, they have none" if "meta" in said else "mend it"
        )
        raise CheckFailed(f"{said}; {cure}.")
    again, _ = subject.rebuilding
    if again is subject.meta:
        raise CheckFailed("building returns the same model object every time; make a new one each time.")
    own = {id(parameter) for parameter in subject.meta.parameters()}
    if shared := [name for name, parameter in again.named_parameters() if id(parameter) in own]:
        what = ", ".join(shared[:3])
        raise CheckFailed(f"two builds share {what} ({len(shared)} in all); make all of a model anew each time.")


def clean(subject: Subject) -> None:
    """On the meta device, twice: what upstream's imports do the first time is not the plugin's to mend."""
    traces = dict.fromkeys(trace for _, watched in (subject.building, subject.rebuilding) for trace in watched.traces)
    if traces:
        raise CheckFailed(f"building {' and '.join(traces)}; leave that to whoever calls it.")


def params(subject: Subject) -> None:
    """Aliases of a parameter count once."""
    found = sum(parameter.numel() for parameter in subject.meta.parameters())
    if found != subject.backbone.params:
        raise CheckFailed(f"params is {subject.backbone.params:,}, and the model has {found:,}; declare {found}.")


def weights(subject: Subject) -> None:
    """On the meta device: nothing is fetched."""
    backbone = subject.backbone
    if not backbone.weights:
        raise NotApplicable("it publishes no weights")
    for published in backbone.weights:
        with watching(first=False) as watched:
            model = build_on_meta(backbone, published.tag)
        if watched.connections:
            raise CheckFailed(f"building for {published.tag} connects to {watched.connections[0]}; leave that to zoo.")
        size = input_for(backbone, published.tag).size
        if size == backbone.input.size and _list_shapes(model) == _list_shapes(subject.meta):
            continue  # the same network, which is looked at anyway
        try:
            with torch.no_grad():
                shape = tuple(model.eval()(subject.draw_nothing(size)).shape)
        except Exception as error:
            raise CheckFailed(
                f"as built for {published.tag} it cannot take {size}: {error}; let build(tag) fit their input."
            ) from error
        if shape != (2, backbone.num_classes):
            raise CheckFailed(
                f"as built for {published.tag} it gives {shape}, not (2, {backbone.num_classes}); "
                "let build(tag) give its head num_classes outputs, whatever the tag."
            )


def upstream(subject: Subject) -> None:
    """What the model card of a run tells people to call."""
    text = subject.backbone.constructor
    if text is None:
        raise NotApplicable("it declares no constructor")
    ours, _ = subject.get_spare(CLASSES)
    call = text.format(num_classes=CLASSES, image_size=subject.backbone.input.size[1])
    try:
        theirs = make_on_meta(lambda: call_constructor(call))
    except Exception as error:
        raise CheckFailed(f"its constructor {text} raises {type(error).__name__}: {error}; mend it.") from error
    found, wanted = _list_shapes(theirs), _list_shapes(ours)
    if odd := sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)):
        raise CheckFailed(f"its constructor builds another network: {', '.join(odd[:3])} differ; mend it.")


def repeatable(subject: Subject) -> None:
    """On the CPU, from one seed."""
    if odd := subject.odd_tensors:
        what = ", ".join(odd[:3])
        raise CheckFailed(f"two builds from one seed differ in {what}; draw from torch's generator only.")


def call_constructor(text: str) -> Any:
    """Call ``package.module.name(literals)``; nothing else is evaluated."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call), "the contract wants a call"
    path = ast.unparse(call.func).split(".")
    target: Any = importlib.import_module(path[0])
    for position, name in enumerate(path[1:], 2):
        if not hasattr(target, name) and hasattr(target, "__path__"):
            importlib.import_module(".".join(path[:position]))
        target = getattr(target, name)
    options = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
    return target(*map(ast.literal_eval, call.args), **options)


def _list_shapes(model: nn.Module) -> Mapping[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
