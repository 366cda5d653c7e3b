"""Exports to a folder that timm and transformers load without zoo. transformers builds timm's network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from zoo.data.channels import GRAY, RGB
from zoo.errors import OptionError
from zoo.plugin import BackboneSpec
from zoo.progress.printable import escape_json
from zoo.registry.plugins.isolation import describe_in_one_line
from zoo.runs.export.network import Plan
from zoo.runs.export.packages import require_packages
from zoo.runs.export.timm_config import build_config, find_architecture
from zoo.runs.folder import CONFIG, MODEL
from zoo.runs.model_file import write_tensors

#: torchvision's backbones that timm also has under the given name. Both list the same tensors in the same order. The
#: tests and every export compare their outputs.
TWINS = {
    "torchvision/mobilenet_v2": "mobilenetv2_100",
    "torchvision/resnet18": "resnet18",
    "torchvision/resnet34": "resnet34",
    "torchvision/resnet50": "resnet50",
    "torchvision/resnet101": "resnet101",
    "torchvision/resnet152": "resnet152",
}


#: Packages that a format needs. Both formats have the same files.
_PACKAGES = {"timm": ("timm",), "transformers": ("timm", "transformers")}


def write_timm(plan: Plan, backbone: BackboneSpec, folder: Path) -> None:
    """Write config.json and model.safetensors, for the format ``timm`` or ``transformers``.

    Raises:
        ExportError: If the tensors do not match those of timm's model.
        OptionError: If timm has no such model, or if a package is not installed.
    """
    require_packages(plan.format, *_PACKAGES[plan.format])
    header = plan.classifier.header
    architecture = get_architecture(plan, backbone)
    tensors: Mapping[str, Tensor] = plan.classifier.model.state_dict()
    if backbone.name in TWINS:
        tensors = _rename(plan, architecture, tensors)
    config = build_config(architecture, header, backbone)
    write_tensors(tensors, header.to_metadata(), folder / MODEL)
    (folder / CONFIG).write_text(escape_json(json.dumps(config, indent=2)) + "\n", encoding="utf-8")


def get_architecture(plan: Plan, backbone: BackboneSpec) -> str:
    """Return timm's name of the network of a run.

    Raises:
        OptionError: If timm has no such network.
    """
    header = plan.classifier.header
    if (channels := header.input.size[0]) not in (GRAY, RGB):
        raise OptionError(
            f"`format` {plan.format} prepares images with 1 or 3 channels, but the run has {channels}; choose onnx or "
            "pt2."
        )
    if header.head != "linear":
        raise OptionError(
            f"`format` {plan.format} needs a linear head, because timm has no networks with the head {header.head}; "
            "choose onnx or pt2."
        )
    architecture = find_architecture(backbone, header.head) or TWINS.get(backbone.name)
    if architecture is None:
        known = ", ".join(TWINS)
        raise OptionError(
            f"`format` {plan.format} supports timm's own backbones and {known}; timm is not known to have a network "
            f"with the same weights as {backbone.name}; choose onnx or pt2."
        )
    return architecture


def _rename(plan: Plan, architecture: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under timm's names."""
    import timm

    try:
        channels = plan.classifier.header.input.size[0]
        model = timm.create_model(architecture, num_classes=len(plan.classifier.classes), in_chans=channels)
    except Exception as error:  # timm's constructors raise many kinds of exceptions.
        raise plan.fail(describe_in_one_line(error)) from error
    theirs = model.state_dict()
    if [tensor.shape for tensor in tensors.values()] != [tensor.shape for tensor in theirs.values()]:
        reason = f"the tensors of timm's {architecture} have other shapes"
        raise plan.fail(reason)
    return dict(zip(theirs, tensors.values(), strict=True))
