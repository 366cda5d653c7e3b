"""The events of a short run of a tiny network, which the kit passes to trackers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pluggy
from PIL import Image
from torch import nn

from zoo.plugin import Hooks, hookimpl
from zoo.progress import Silent
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.training.finetune import finetune

EPOCHS = 2
#: Number of images of each class, and their side in pixels.
IMAGES, SIDE = 6, 16


@dataclass(frozen=True)
class Event:
    """A call of an event hook."""

    hook: str
    arguments: Mapping[str, Any]


def record_events(folder: Path) -> list[Event]:
    """Train a network for two epochs, and return the events of the run, and those of a run that resumes in epoch 2.

    Args:
        folder: An empty folder, which receives the images and the run folder. The events contain its path.
    """
    for shade, name in ((40, "dark"), (200, "light")):
        (folder / "images" / name).mkdir(parents=True)
        for number in range(IMAGES):
            image = Image.new("RGB", (SIDE, SIDE), (shade + number,) * 3)
            image.save(folder / "images" / name / f"{number}.png")
    manager, recorder = pluggy.PluginManager("zoo"), _Recorder()
    manager.add_hookspecs(Hooks)
    manager.register(recorder)
    registry = Registry([Plugin("recorder", "zoo", "0", hooks=manager)], RegistryToml())
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    finetune(
        network,
        folder / "images",
        output=folder / "run",
        registry=registry,
        progress=Silent(),
        epochs=EPOCHS,
        image_size=SIDE,
        train="all",
        device="cpu",
        workers=0,
    )
    return [*recorder.events, *_resume(recorder.events)]


def _resume(events: list[Event]) -> Iterator[Event]:
    """Yield the events of a run that was interrupted in its last epoch, and repeats it."""
    for event in events:
        is_repeated = event.hook != "zoo_epoch_ended" or event.arguments["epoch"]["epoch"] == EPOCHS
        if is_repeated:
            arguments = copy.deepcopy(dict(event.arguments))
            arguments["run"]["resumed"] = [EPOCHS]
            yield Event(event.hook, arguments)


class _Recorder:
    """A tracker that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    @hookimpl
    def zoo_run_started(self, run: Mapping[str, Any]) -> None:
        self.events.append(Event("zoo_run_started", {"run": run}))

    @hookimpl
    def zoo_epoch_ended(self, run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
        self.events.append(Event("zoo_epoch_ended", {"run": run, "epoch": epoch}))

    @hookimpl
    def zoo_run_finished(self, run: Mapping[str, Any]) -> None:
        self.events.append(Event("zoo_run_finished", {"run": run}))
