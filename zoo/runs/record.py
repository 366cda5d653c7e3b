"""The record of a run: the fields of run.json, the history and the best epoch, on disk and for plugins."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import platform
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data.dataset import Images, report_left_out
from zoo.data.examination.kinds import MISSING_CLASS
from zoo.data.examination.summary import list_warnings, summarize_findings
from zoo.data.listing import SPLITS, LeftOut
from zoo.data.unexamined import list_emptied
from zoo.engine.device import Hardware
from zoo.engine.metrics import Epoch, measure
from zoo.files.versions import read_versions
from zoo.models.build import Network
from zoo.models.head import is_below_any
from zoo.models.selection import Selection
from zoo.plugin import BlockSpec
from zoo.progress import Progress
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.runs.folder import HISTORY, RUN, RunFolder


class Record:
    """The record of a run in its folder."""

    def __init__(self, folder: RunFolder, facts: Mapping[str, Any], registry: Registry, progress: Progress) -> None:
        """Begin the record with the fields that are known before the first step, and notify plugins."""
        self.folder = folder
        self.facts: dict[str, Any] = json.loads(json.dumps(facts))  # This turns tuples into lists, as in run.json.
        self.history: list[dict[str, Any]] = []
        self._registry = registry
        self._progress = progress
        self._started = time.monotonic()
        #: Paths of the images that turned out to be unreadable since this process began.
        self._unreadable: Collection[str] = ()
        self._announce("zoo_run_started")

    def resume(self, facts: Mapping[str, Any], history: Sequence[dict[str, Any]]) -> None:
        """Continue the record of an interrupted run, including its duration so far."""
        kept = ("started", "best", "val", "epochs", "seconds")
        self.facts.update({name: facts[name] for name in kept if name in facts})
        data = self.facts["data"]
        data["left_out"] = max(data["left_out"], facts["data"]["left_out"], key=len)  # Training may have found more.
        data["findings"] = facts["data"].get("findings", data.get("findings", []))
        self.facts["resumed"] = [*facts.get("resumed", ()), len(history) + 1]
        self._started -= facts.get("seconds", 0.0)
        self.history = list(history)
        self._write_history()

    def add(self, epoch: Epoch) -> None:
        """Add an epoch to the history, and notify plugins."""
        self.history.append(dataclasses.asdict(epoch))
        self.facts.update(epochs=len(self.history), seconds=self.count_seconds())
        self._progress.say(str(epoch))
        self._write_history()
        self._announce("zoo_epoch_ended", epoch=self.history[-1])

    def count_seconds(self) -> float:
        """Return the duration of the run so far, in seconds."""
        return round(time.monotonic() - self._started, 3)

    def _write_history(self) -> None:
        self.folder.write_text(HISTORY, "".join(json.dumps(line) + "\n" for line in self.history))

    def note_best(self, epoch: Epoch, val: Mapping[str, Any]) -> None:
        """Record the best epoch so far and its validation metrics."""
        best = {"epoch": epoch.epoch, "val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}
        self.facts.update(best=best, val=val)

    def leave_out(self, found: Mapping[str, str], images: Images) -> None:
        """Record and report images that turned out to be unreadable during training, and classes without any others.

        Args:
            found: Paths of all these images so far, with the reasons.
            images: Images of the run.
        """
        self._unreadable = found.keys()
        known = {(item["path"], item["reason"]) for item in self.facts["data"]["left_out"]}
        new = [LeftOut(Path(path), reason) for path, reason in found.items() if (path, reason) not in known]
        report_left_out(new, self._progress)
        if not new and not self.history:
            self._progress.say("all images of the first epoch can be read")
        self.facts["data"]["left_out"] += [{"path": str(item.path), "reason": item.reason} for item in new]
        if new:
            self._report_emptied(images, found.keys())

    def _report_emptied(self, images: Images, unreadable: Collection[str]) -> None:
        """Record and report classes none of whose images can be read, once for each split."""
        summaries = self.facts["data"].setdefault("findings", [])  # Older versions of zoo recorded none.
        known = {
            (summary["split"], item.get("class_name"))
            for summary in summaries
            if summary["kind"] == MISSING_CLASS.code
            for item in summary["listed"]
        }
        found = [gap for split in SPLITS for gap in list_emptied(getattr(images, split), unreadable)]
        new = summarize_findings(gap for gap in found if (gap.split, gap.class_name) not in known)
        summaries += new
        for summary in new:
            for warning in list_warnings([summary], summary["split"]):
                self._progress.say(f"warning: {warning} can be read")

    def measure(self, probabilities: Tensor, images: Images, split: str) -> dict[str, Any]:
        """Return the metrics of the predictions for the readable images of a split.

        Args:
            probabilities: Tensor of shape (N, classes).
            images: Images of the run.
            split: ``val`` or ``test``.
        """
        return measure_split(probabilities, images, split, self._unreadable)

    def write(self) -> None:
        """Write run.json, which marks a run as finished."""
        self.folder.write_json(RUN, self.facts)

    def close(self) -> None:
        """Notify plugins that the run is finished."""
        self._announce("zoo_run_finished")

    def _announce(self, event: str, **arguments: Any) -> None:
        run = {**self.facts, "path": str(self.folder.path)}
        for complaint in self._registry.announce(event, run=run, **arguments):
            self._progress.say(f"warning: {complaint}")


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
    model, trainable = network.model, selection.trainable
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    states: dict[str, set[bool]] = {block.name: set() for block in blocks}
    for name, _ in tensors:
        for block in blocks:
            if is_below_any(name, block.prefixes):
                states[block.name].add(is_below_any(name, trainable))
    parameters = dict(model.named_parameters())
    is_head_trained = any(is_below_any(name, trainable) for name in parameters if network.head.covers(name))
    return {
        "blocks": [
            {"name": name, "learns": True in found, **({"partly": True} if len(found) > 1 else {})}
            for name, found in states.items()
        ],
        **({"terms": [dataclasses.asdict(match) for match in selection.matches]} if selection.matches else {}),
        **({} if is_head_trained else {"head_learns": False}),
        "params": {
            "total": sum(parameter.numel() for parameter in parameters.values()),
            "learning": sum(p.numel() for name, p in parameters.items() if is_below_any(name, trainable)),
        },
    }


def measure_split(
    probabilities: Tensor, images: Images, split: str, unreadable: Collection[str] = ()
) -> dict[str, Any]:
    """Return the metrics of the predictions for a split; the probabilities have shape (N, classes).

    Images whose paths are in ``unreadable`` have no predictions.
    """
    samples = [s for s in getattr(images, split) if not unreadable or str(s.path) not in unreadable]
    return measure(probabilities, [sample.label for sample in samples], images.classes)


def _get_device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _list_versions(network: Network) -> dict[str, str]:
    upstream = (network.backbone.upstream or "").partition("==")[0]
    versions = read_versions("zoo", "torch", "torchvision", "safetensors", *filter(None, [upstream]))
    # Unlike its package metadata, torch.__version__ includes the build, as in 2.15.0+cpu.
    return {"python": platform.python_version(), **versions, "torch": str(torch.__version__)}
