"""The run that is killed: one second of training that uses everything that resuming can get failures."""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import zoo.registry.registry
import zoo.training.finetune
from acme import draw_photos, make_acme
from zoo.registry.load_plugin import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.folder import RunFolder
from zoo.training.callbacks import RunCallbacks

#: 24 steps with 6 images each, in six epochs and four phases, with a checkpoint every third step.
OPTIONS: dict[str, Any] = {
    "weights": "none",
    "train": "gradual",
    "epochs": 6,
    "batch_size": 6,
    "workers": 0,
    "device": "cpu",
    "precision": "fp32",
    "augment": "crop-flip",
    "save_every": 3,
    "ema": 0.9,
    "balance": "sampling",
}
STEPS, EVERY = 24, 3
#: Facts that may differ: the times, and how often the run was resumed.
TIMES = ("seconds", "train_seconds", "started", "resumed")
#: File beside the run folder with the SHA-256 of the last checkpoint, written before the checkpoints are removed.
LAST = "last-state"


def draw(folder: Path) -> None:
    """Draw the images."""
    draw_photos(folder / "train", per_class=12, seed=1)
    draw_photos(folder / "val", per_class=5, seed=2)


def run(photos: Path, output: Path, on_step: Callable[[int], None], **options: Any) -> None:
    """Start or resume the run on the command line. ``on_step`` is called with the total number of steps so far.

    Ends with SystemExit, so the process can do nothing else.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background ignore Ctrl-C otherwise
    original, remove_states = RunCallbacks.on_step, zoo.training.finetune.remove_states

    def report(watch: RunCallbacks) -> None:
        on_step(watch._saver._state.batches)  # no public name, as only this harness needs it
        original(watch)

    def digest(folder: RunFolder) -> None:
        last = output.with_name(f"{output.name}-{LAST}")
        if not last.exists():  # it exists if a process was killed while it removed the checkpoints, newest first
            saved, _ = Checkpoints(folder.path / "checkpoints").load()
            sha256 = digest_state(saved.tensors, saved.facts["state"]) if saved else "none"
            last.write_text(sha256, encoding="ascii")
        remove_states(folder)

    RunCallbacks.on_step = report  # type: ignore[method-assign]
    zoo.training.finetune.remove_states = digest
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))], RegistryToml())
    zoo.registry.registry.open_registry = lambda: registry
    settings = [f"--set={name}={json.dumps(value)}" for name, value in {**OPTIONS, **options}.items()]
    sys.argv = ["zoo", "finetune", "net", f"--data={photos}", f"--output={output}", "--resume", *settings]
    zoo.cli.main()


def describe(output: Path) -> dict[str, Any]:
    """Return everything about a run except times: the SHA-256 of each file, and the metrics."""
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    facts = json.loads((output / "run.json").read_text(encoding="utf-8"))
    return {
        "files": sorted(path.name for path in output.iterdir()),
        "model": hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest(),
        "state": output.with_name(f"{output.name}-{LAST}").read_text(encoding="ascii"),
        "history": [_without_times(line) for line in lines],
        "facts": {
            **_without_times(facts),
            "recipe": {**facts["recipe"], "workers": None},
            "data": {**facts["data"], "asked": None},
        },
    }


def digest_state(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> str:
    """Return a SHA-256 of weights, statistics, averages and the state of the optimizer."""
    total = hashlib.sha256()
    for name in sorted(name for name in tensors if not name.startswith("lap.")):  # removed at the end of an epoch
        total.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        total.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    total.update(json.dumps([facts["phase"], facts["steps"]]).encode())
    return total.hexdigest()


def _without_times(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in TIMES}
