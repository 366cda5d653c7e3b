"""What a run writes down as it goes: its facts, its history, its best model; and whom it tells."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.dataset import Images
from zoo.engine.device import Hardware
from zoo.engine.metrics import Epoch, measure
from zoo.files.versions import read_versions
from zoo.models.build import Network
from zoo.models.head import is_below_any
from zoo.plugin import BlockSpec
from zoo.progress import Progress
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.runs.folder import HISTORY, RUN, RunFolder


class Record:
    """The record of one run in its folder."""

    def __init__(self, folder: RunFolder, facts: dict[str, Any], registry: Registry, progress: Progress) -> None:
        """Begin the record with what is known before the first step, and tell the plugins."""
        self.folder = folder
        self.facts: dict[str, Any] = json.loads(json.dumps(facts))  # as run.json will hold them: lists, no tuples
        self.history: list[dict[str, Any]] = []
        self._registry = registry
        self._progress = progress
        self._started = time.monotonic()
        self._announce("zoo_run_started")

    def go_on(self, facts: Mapping[str, Any], history: Sequence[dict[str, Any]]) -> None:
        """Go on with a run that was interrupted: with what it had measured, and the time that it had taken."""
        kept = ("started", "best", "val", "epochs", "seconds")
        self.facts.update({name: facts[name] for name in kept if name in facts})
        self.facts["resumed"] = [*facts.get("resumed", ()), len(history) + 1]
        self._started -= facts.get("seconds", 0.0)
        self.history = list(history)
        self._write_history()

    def add(self, epoch: Epoch) -> None:
        """Write an epoch's line."""
        self.history.append(dataclasses.asdict(epoch))
        self.facts.update(epochs=len(self.history), seconds=self.count_seconds())
        self._progress.say(str(epoch))
        self._write_history()
        self._announce("zoo_epoch_ended", epoch=self.history[-1])

    def count_seconds(self) -> float:
        """Return the seconds of the run so far."""
        return round(time.monotonic() - self._started, 3)

    def _write_history(self) -> None:
        self.folder.write_text(HISTORY, "".join(json.dumps(line) + "\n" for line in self.history))

    def note_best(self, epoch: Epoch, val: Mapping[str, Any]) -> None:
        """Note the best epoch so far, and what it made of the validation images."""
        self.facts["best"] = {
            "epoch": epoch.epoch, "val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss
        }  # fmt: skip
        self.facts["val"] = val

    def write(self) -> None:
        """Write run.json, which marks a run as complete."""
        self.folder.write_json(RUN, self.facts)

    def close(self) -> None:
        """Tell the plugins that the run is over."""
        self._announce("zoo_run_finished")

    def _announce(self, event: str, **arguments: Any) -> None:
        run = {**self.facts, "path": str(self.folder.path)}
        for complaint in self._registry.announce(event, run=run, **arguments):
            self._progress.say(f"warning: {complaint}")


def list_facts(network: Network, recipe: Recipe, hardware: Hardware, images: Images) -> dict[str, Any]:
    """List what is known of a run before its first step."""
    start = network.start
    return {
        "backbone": network.backbone.name,
        "weights": {
            "label": start.label,
            "url": start.weights.url if start.weights else None,
            "license": start.license,
        },
        "classes": list(images.classes),
        "recipe": {**dataclasses.asdict(recipe), **recipe.list_decided()},
        "input": dataclasses.asdict(network.input),
        "data": {
            "asked": images.origin,
            "fingerprint": images.fingerprint,
            "images": {"train": len(images.train), "val": len(images.val), "test": len(images.test)},
            "left_out": [{"path": str(item.path), "reason": item.reason} for item in images.left_out],
        },
        "hardware": {
            "device": str(hardware.device),
            "name": _name(hardware),
            "precision": hardware.precision,
            "processes": hardware.world.size,
        },
        "versions": _list_versions(network),
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def describe_blocks(model: nn.Module, blocks: Sequence[BlockSpec], trainable: Sequence[str]) -> dict[str, Any]:
    """List which blocks are trained, and how many parameters that is; ``trainable`` are prefixes of their names."""
    parameters = dict(model.named_parameters())
    return {
        "blocks": [{"name": block.name, "learns": set(block.prefixes) <= set(trainable)} for block in blocks],
        "params": {
            "total": sum(parameter.numel() for parameter in parameters.values()),
            "learning": sum(p.numel() for name, p in parameters.items() if is_below_any(name, trainable)),
        },
    }


def measure_split(probabilities: Tensor, images: Images, split: str) -> dict[str, Any]:
    """Measure the predictions for a split of the data."""
    samples = getattr(images, split)
    return measure(probabilities, [sample.label for sample in samples], images.classes)


def _name(hardware: Hardware) -> str:
    is_cuda = hardware.device.type == "cuda"
    return torch.cuda.get_device_name(hardware.device) if is_cuda else platform.processor() or platform.machine()


def _list_versions(network: Network) -> dict[str, str]:
    names = ["zoo", "torch", "torchvision", "safetensors"]
    if network.backbone.upstream:
        names.append(network.backbone.upstream.partition("==")[0])
    versions = read_versions(*names)
    # torch's own word names the build as well: 2.15.0+cpu.
    return {"python": platform.python_version(), **versions, "torch": str(torch.__version__)}
