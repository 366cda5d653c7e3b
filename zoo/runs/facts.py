"""The fields of run.json that are known before the first step."""

from __future__ import annotations

import dataclasses
import datetime as dt
import platform
from collections.abc import Sequence
from typing import Any

import torch

from zoo.data.dataset import Images
from zoo.data.examination.summary import summarize_findings
from zoo.engine.device import Hardware
from zoo.files.versions import list_upstream, read_versions
from zoo.models.build import Network
from zoo.models.head import is_below_any
from zoo.models.selection import Selection
from zoo.models.untrained import count_parameters
from zoo.plugin import BlockSpec
from zoo.registry.recipe import Recipe


def list_facts(network: Network, recipe: Recipe, hardware: Hardware, images: Images) -> dict[str, Any]:
    """Return the fields of run.json that are known before the first step."""
    weights = network.initial_weights
    return {
        "backbone": network.backbone.name,
        **({"network": network.origin.to_json()} if network.origin else {}),
        "weights": {
            "label": weights.label,
            "url": weights.weights.url if weights.weights else None,
            "license": weights.license,
            **({"prefix": weights.prefix} if weights.prefix else {}),
        },
        "classes": list(images.classes),
        "recipe": {**dataclasses.asdict(recipe), **recipe.list_decided()},
        "input": dataclasses.asdict(network.input),
        "data": {
            "asked": images.origin,
            "kind": images.kind,
            "source": images.source and dict(images.source),
            "fingerprint": images.fingerprint,
            "images": {"train": len(images.train), "val": len(images.val), "test": len(images.test)},
            **({} if images.is_examined else {"examined": "during the first epoch"}),
            "left_out": [{"path": str(item.path), "reason": item.reason} for item in images.left_out],
            "findings": summarize_findings(images.findings),
        },
        "hardware": {
            "device": str(hardware.device),
            "name": _get_device_name(hardware.device),
            "precision": hardware.precision,
            "processes": hardware.world.size,
        },
        "versions": _list_versions(network),
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def describe_blocks(network: Network, blocks: Sequence[BlockSpec], selection: Selection) -> dict[str, Any]:
    """Return which blocks are trained, what each term of the scope matches, and the number of parameters.

    Args:
        network: Network whose parameters are counted.
        blocks: Blocks of the network, from input to output.
        selection: What is trained.
    """
    model = network.model
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    states: dict[str, set[bool]] = {block.name: set() for block in blocks}
    for name, _ in tensors:
        for block in blocks:
            if is_below_any(name, block.prefixes):
                states[block.name].add(selection.trains(name))
    parameters = dict(model.named_parameters())
    is_head_trained = any(selection.trains(name) for name in parameters if network.head.covers(name))
    untrained = {"fixed": network.fixed, "unused": network.unused}
    return {
        "blocks": [
            {"name": name, "learns": True in found, **({"partly": True} if len(found) > 1 else {})}
            for name, found in states.items()
        ],
        **({"terms": [dataclasses.asdict(match) for match in selection.matches]} if selection.matches else {}),
        **({} if is_head_trained else {"head_learns": False}),
        "params": {
            "total": sum(parameter.numel() for parameter in parameters.values()),
            "learning": sum(p.numel() for name, p in parameters.items() if selection.trains(name)),
            **{kind: count_parameters(model, names) for kind, names in untrained.items() if names},
        },
    }


def _get_device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _list_versions(network: Network) -> dict[str, str]:
    upstream = list_upstream(network.backbone.upstream)
    versions = read_versions("zoo", "torch", "torchvision", "safetensors", *upstream)
    # Unlike its package metadata, torch.__version__ includes the build, as in 2.15.0+cpu.
    return {"python": platform.python_version(), **versions, "torch": str(torch.__version__)}
