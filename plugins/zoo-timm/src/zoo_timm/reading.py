"""Facts about one timm architecture, read from timm by building the model on the meta device.

The catalog contains these facts. If a different version of timm is installed and has a backbone that the catalog lacks,
the plugin reads the facts about this backbone when it is looked up.
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import timm
import torch
from timm.layers.std_conv import ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from timm.models import get_pretrained_cfg, model_entrypoint
from torch import nn

from zoo.plugin import BackboneSpec
from zoo_timm.blocks import read_blocks
from zoo_timm.building import NUM_CLASSES, Upstream
from zoo_timm.cfgs import read_input, read_weights
from zoo_timm.encoder import HEAD, lacks_head
from zoo_timm.facts import CODE_LICENSE, claims, constructor, list_expected_failures
from zoo_timm.prefixes import covers, shortest_prefixes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.plugin import WeightsSpec

_STANDARDIZED = (ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame)


def read_backbone(name: str) -> BackboneSpec:
    """Read all facts about an architecture of the installed timm.

    Raises:
        NameNotFound: If the installed timm lacks the architecture.
    """
    upstream = Upstream(name)
    with torch.device("meta"):
        model = upstream.build(None)
    head = read_head(model)
    first_conv = read_first_conv(name, model, read_input(name).size[0])
    expected = read_input(name)
    weights = tuple(_add_lacking(name, weights, model, head) for weights in read_weights(name))
    return BackboneSpec(
        name=f"timm/{name}",
        family=model_entrypoint(name).__module__.rpartition(".")[2],
        build=upstream.build,
        head=head,
        blocks=read_blocks(model, head, expected.size),
        params=sum(parameter.numel() for parameter in model.parameters()),
        license=CODE_LICENSE,
        input=expected,
        preprocessing=upstream.preprocessing,
        weights=weights,
        num_classes=NUM_CLASSES,
        classifier=read_classifier(model, head, expected.size),
        convert=upstream.convert,
        upstream=f"timm=={importlib.metadata.version('timm')}",
        constructor=None if lacks_head(model) else constructor(name),
        first_conv=first_conv,
        expected_failures=list_expected_failures(weights, is_standardized=_is_standardized(model, first_conv)),
        **claims(
            head,
            image_sizes=accepts_other_sizes(model, expected.size),
            channels=first_conv is not None,
        ),
    )


def read_first_conv(name: str, model: nn.Module, channels: int) -> str | tuple[str, ...] | None:
    """Return the convolutions of an image that timm's cfg names; None if it names another layer, or none.

    In some models, the first layer is linear, or the pixels of a patch are channels before the first convolution.
    """
    cfg = get_pretrained_cfg(name)
    named = cfg.first_conv if cfg else None
    layers = [model.get_submodule(path) for path in ([named] if isinstance(named, str) else named or ())]
    are_convs = all(isinstance(layer, nn.Conv2d) and layer.in_channels == channels for layer in layers)
    if not layers or not are_convs:
        return None
    return named if isinstance(named, str) else tuple(cast("Sequence[str]", named))


def _is_standardized(model: nn.Module, first_conv: str | tuple[str, ...] | None) -> bool:
    """Return whether the first convolution computes its weights, so that they are not linear in the channels."""
    paths = (first_conv,) if isinstance(first_conv, str) else first_conv or ()
    return any(isinstance(model.get_submodule(path), _STANDARDIZED) for path in paths)


def read_head(model: nn.Module) -> tuple[str, ...]:
    """Find the layers that return the logits. If there are several, timm averages their outputs.

    No single source lists them all: the cfgs of LeViT with stride 8 lack the distillation head, and ``get_classifier``
    of VOLO lacks the head for tokens.
    """
    if lacks_head(model):
        return (HEAD,)
    named = cast("dict[str, str | Sequence[str]]", model.pretrained_cfg)["classifier"]
    return tuple(dict.fromkeys([*([named] if isinstance(named, str) else named), *_classifier_layers(model)]))


def _classifier_layers(model: nn.Module) -> list[str]:
    """Find the layers in timm's classifier whose number of outputs is the number of classes."""
    given = model.get_classifier()  # type: ignore[operator]  # timm's models have it, nn.Module does not
    regions = [given] if isinstance(given, nn.Module) else given
    inside = {id(module) for region in regions for module in region.modules()}
    layers = (
        (name, module)
        for name, module in model.named_modules()
        if id(module) in inside and isinstance(module, (nn.Linear, nn.Conv2d))
    )
    return [name for name, layer in layers if layer.weight.shape[0] == NUM_CLASSES]


def read_classifier(model: nn.Module, head: Sequence[str], size: tuple[int, int, int]) -> str | None:
    """Find the largest module around the head whose input has shape (N, C). Return None if that is the head itself."""
    if len(head) != 1 or "." not in head[0]:
        return None
    flat: set[str] = set()
    paths = list(accumulate(head[0].split("."), "{}.{}".format))
    for path in paths:
        model.get_submodule(path).register_forward_pre_hook(partial(_record_flat_input, flat, path))
    with torch.no_grad():
        model.eval()(torch.empty(1, *size, device="meta"))
    largest = next((path for path in paths if path in flat), head[0])
    return largest if _has_more_parameters(model, largest, head[0]) else None


def _record_flat_input(flat: set[str], path: str, _module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    if inputs and inputs[0].ndim == 2:
        flat.add(path)


def _has_more_parameters(model: nn.Module, region: str, head: str) -> bool:
    return any(covers(region, name) and not covers(head, name) for name, _ in model.named_parameters())


def accepts_other_sizes(model: nn.Module, size: tuple[int, int, int]) -> bool:
    """Return whether the model accepts larger and non-square images; timm's ``fixed_input_size`` is not reliable."""
    channels, height, width = size
    try:
        with torch.no_grad():
            for more, wider in ((32, 32), (0, 64)):
                model.eval()(torch.empty(1, channels, height + more, width + wider, device="meta"))
    except (RuntimeError, AssertionError, ValueError):
        return False
    return True


def find_lacking(model: nn.Module, headless: nn.Module, head: Sequence[str]) -> tuple[str, ...]:
    """Find the parameters before the head that timm builds only together with a head; files without a head lack them.

    Args:
        model: The model built with a head.
        headless: The same model built without a head.
        head: Dotted paths of the last layers of ``model``.
    """
    present = {name: "present" for name, _ in headless.named_parameters(remove_duplicate=False)}
    owners = {
        name: "head" if any(covers(path, name) for path in head) else present.get(name, "lacking")
        for name, _ in model.named_parameters(remove_duplicate=False)
    }
    return shortest_prefixes(owners).get("lacking", ())


def _add_lacking(name: str, weights: WeightsSpec, model: nn.Module, head: Sequence[str]) -> WeightsSpec:
    if weights.num_classes is not None:
        return weights
    with torch.device("meta"):
        headless = timm.create_model(f"{name}.{weights.tag}", pretrained=False)
    return replace(weights, lacks=find_lacking(model, headless, head))
