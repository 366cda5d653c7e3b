"""Check that building works offline, has no side effects, and yields the declared network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from zoo.errors import PluginError
from zoo.models.build import build_model
from zoo.models.head import is_below_any
from zoo.models.meta_device import build_on_meta
from zoo.models.on_meta import make_on_meta
from zoo.models.untrained import list_fixed
from zoo.models.weights.choose import input_for
from zoo.plugin.capabilities import needs_cpu
from zoo.plugin.constructor import list_lines
from zoo.registry.plugins.place import find_definition
from zoo.runs.folder import CONFIG
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.forward import expect_logits
from zoo.testing.declared_parameters import list_declared
from zoo.testing.isolation.constructors import build_without_zoo
from zoo.testing.isolation.side_effects import watch_side_effects
from zoo.testing.results.result import CheckFailed, NotApplicable, describe_with_place
from zoo.testing.run_files import build_with_transformers, call_run_files
from zoo.testing.suggestions import shorten

#: Number of classes for ``build.upstream``; it must differ from ``num_classes`` of the network as built.
CLASSES = 2

#: Modules that contain a model and change the names of its parameters.
AROUND = ("DataParallel", "DistributedDataParallel", "OptimizedModule", "RecursiveScriptModule")


def offline(backbone: BackboneUnderTest) -> None:
    """Build on the meta device, or on the CPU if that is unsupported; connections are refused and recorded."""
    _, effects = backbone.building
    if effects.connections:
        raise CheckFailed(
            f"building connects to {effects.connections[0]}; declare weights as a WeightsSpec instead.", effects.place
        )
    if needs_cpu(backbone.spec) and effects.error is not None:
        raise CheckFailed(f"{_add_advice(effects.error)}.") from effects.error


def meta(backbone: BackboneUnderTest) -> None:
    """Build on the meta device. If that is declared as unsupported, also run the model, to find an outdated entry."""
    if needs_cpu(backbone.spec):
        try:
            model = make_on_meta(lambda: build_model(backbone.spec, None)).eval()
            with torch.no_grad():
                model(torch.empty(2, *backbone.spec.input.size, device="meta"))
        except Exception as error:
            raise CheckFailed(describe_with_place(error)) from error
        return
    _, effects = backbone.building
    if effects.error is not None:
        message = str(effects.error).rstrip(".")
        if "meta" in str(effects.error.__cause__ or effects.error).removeprefix(backbone.spec.name):
            advice = (
                "do not read tensor values, which tensors on the meta device lack, or declare unsupported={'meta': why}"
            )
            message = f"{message}; {advice}"
        else:
            message = _add_advice(effects.error)
        raise CheckFailed(f"{message}.") from effects.error


def _add_advice(error: Exception) -> str:
    """Return the message of an error that ``build`` raised, with what to change."""
    message, cause = str(error).rstrip("."), error.__cause__
    if cause is None and isinstance(error, PluginError):  # the model is not the declared one
        return message if ";" in message else f"{message}; return the model itself"
    return f"{message}; {_advise(cause or error)}"


def _advise(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"add the distribution that contains {error.name} to the dependencies in pyproject.toml, and install it"
    if isinstance(error, (ImportError, AttributeError)):
        return "correct the name in this line, or require a version of upstream that has it in pyproject.toml"
    if isinstance(error, TypeError):
        return "correct the arguments in this line; zoo calls build(tag), where tag is None for random weights"
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return "build must not read files outside the plugin's package; add the file to the package"
    return "correct this line; build(None) must return the network with random weights"


def fresh(backbone: BackboneUnderTest) -> None:
    """Build twice; the two models must not share anything."""
    if (kind := type(backbone.meta).__name__) in AROUND:
        raise CheckFailed(f"building returns a {kind} around the model; return the model itself.")
    if lazy := [name for name, parameter in backbone.meta.named_parameters() if is_lazy(parameter)]:
        raise CheckFailed(f"the parameter {shorten(lazy)} has no shape yet; run the model once in build().")
    again, _ = backbone.rebuilding
    if again is backbone.meta:
        raise CheckFailed("building returns the same model object every time; build a new one each time.")
    own = {id(parameter) for parameter in backbone.meta.parameters()}
    if shared := [name for name, parameter in again.named_parameters() if id(parameter) in own]:
        raise CheckFailed(f"two builds share {shorten(shared)}; build every part of the model each time.")


def clean(backbone: BackboneUnderTest) -> None:
    """Build twice on the meta device. In the first build, the side effects of upstream's imports do not count."""
    traces = dict.fromkeys(trace for _, effects in (backbone.building, backbone.rebuilding) for trace in effects.traces)
    if traces:
        place = next((effects.place for _, effects in (backbone.building, backbone.rebuilding) if effects.place), "")
        raise CheckFailed(f"building {' and '.join(traces)}; leave that to the caller.", place)


def params(backbone: BackboneUnderTest) -> None:
    """Count the parameters; a shared parameter counts once."""
    parameters = dict(backbone.meta.named_parameters())
    added = backbone.list_added()
    found = sum(own.numel() for name, own in parameters.items() if not is_below_any(name, added))
    if found != backbone.spec.params:
        raise CheckFailed(f"params is {backbone.spec.params:,}, but the model has {found:,}; declare {found}.")


def fixed(backbone: BackboneUnderTest) -> None:
    """Compare the declaration with the model as built."""
    declared = list_declared(backbone, "fixed")
    found = list_fixed(backbone.meta)
    if undeclared := sorted(found - declared):
        raise CheckFailed(f"the model has requires_grad=False for {shorten(undeclared)}; declare it in fixed.")
    if odd := sorted(declared - found):
        raise CheckFailed(f"fixed declares {shorten(odd)}, which require gradients in the model; leave them out.")


def weights(backbone: BackboneUnderTest) -> None:
    """Build the model for every tag on the meta device, without downloading the weights."""
    spec = backbone.spec
    if not spec.weights:
        raise NotApplicable("it publishes no weights")
    for published in spec.weights:
        with watch_side_effects(first=False) as effects:
            model = build_on_meta(spec, published.tag)
        if effects.connections:
            address = effects.connections[0]
            raise CheckFailed(
                f"building for {published.tag} connects to {address}; zoo downloads the weights itself.", effects.place
            )
        size = input_for(spec, published.tag).size
        if size == spec.input.size and _list_shapes(model) == _list_shapes(backbone.meta):
            continue  # Other checks run this network.
        advice = "build(tag) must return num_classes logits for every tag and accept the input that the weights declare"
        images = backbone.make_meta_images(size)
        expect_logits(model.eval(), images, spec.num_classes, f"as built for {published.tag}", advice)


def upstream(backbone: BackboneUnderTest) -> None:
    """Run the lines that a run's model card shows, in a process where zoo cannot be imported."""
    spec = backbone.spec
    if spec.constructor is None:
        raise NotApplicable("it declares no constructor")
    ours, _ = backbone.attach_heads(CLASSES)
    lines = list_lines(spec.constructor, CLASSES, spec.input.size[1])
    found, added = build_without_zoo(lines, on_meta_device=not needs_cpu(spec)), backbone.list_added()
    wanted = {name: shape for name, shape in _list_shapes(ours).items() if not is_below_any(name, added)}
    if odd := sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)):
        line = next((number for number, line in enumerate(lines, 1) if line.startswith("model")), 1)
        raise CheckFailed(
            f"its constructor builds a different network in line {line}, {lines[line - 1]!r}: {shorten(odd)} differ; "
            "correct the constructor."
        )


def files(backbone: BackboneUnderTest) -> None:
    """Call ``run_files`` for two classes, and let transformers build the network from the files if they are its own."""
    spec = backbone.spec
    if spec.run_files is None:
        raise NotApplicable("it declares no run_files")
    written = call_run_files(spec)
    if "model_type" not in written.get(CONFIG, {}):
        return
    ours, _ = backbone.attach_heads(CLASSES)
    found, wanted = build_with_transformers(written, on_meta_device=not needs_cpu(spec)), _list_shapes(ours)
    if odd := sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)):
        raise CheckFailed(
            f"transformers builds a different network from the files of run_files: {shorten(odd)} differ; correct the "
            f"configuration{find_definition(spec.run_files)}."
        )


def repeatable(backbone: BackboneUnderTest) -> None:
    """Build twice on the CPU, with the same seed."""
    first, second = backbone.build().state_dict(), backbone.build().state_dict()
    same = {name for name in first.keys() & second.keys() if torch.equal(first[name], second[name])}
    if odd := sorted((first.keys() | second.keys()) - same):
        raise CheckFailed(
            f"two builds with the same seed differ in {shorten(odd)}; draw random numbers only from torch's generator."
        )


def _list_shapes(model: nn.Module) -> Mapping[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
