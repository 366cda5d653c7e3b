"""The run that is interrupted: one second of training that uses every feature whose state must survive resuming."""

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
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.checkpoints import Checkpoints
from zoo.runs.folder import RunFolder
from zoo.training.callbacks import RunCallbacks

#: Options of the run: 24 steps with 6 images each, in six epochs and four phases, with a checkpoint every third step.
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
#: Fields that may differ: the times, and the epochs at which the run resumed.
TIMES = ("seconds", "train_seconds", "started", "resumed")
#: Suffix of a file next to the run folder that contains the SHA-256 of the last checkpoint. The file is written before
#: the checkpoints are removed.
LAST = "last-checkpoint"


def generate(folder: Path) -> None:
    """Generate the images."""
    draw_photos(folder / "train", per_class=12, seed=1)
    draw_photos(folder / "val", per_class=5, seed=2)


def run(photos: Path, output: Path, on_step: Callable[[int], None], **options: Any) -> None:
    """Start or resume the run through the command line.

    Args:
        photos: Folder of the images.
        output: Run folder.
        on_step: Function that is called after each step with the number of steps so far.
        options: Options that differ from ``OPTIONS``.

    Raises:
        SystemExit: When the run ends.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes ignore Ctrl-C by default
    original, remove_states = RunCallbacks.on_step, zoo.training.finetune.remove_states

    def report(callbacks: RunCallbacks) -> None:
        on_step(callbacks._saver._state.batches)  # private, because only the fault scripts need it
        original(callbacks)

    def digest(folder: RunFolder) -> None:
        last = output.with_name(f"{output.name}-{LAST}")
        if not last.exists():  # a killed process may have written it, and then removed the newest checkpoint
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
    """Return the files, metrics and fields of a run that must not depend on interruptions."""
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    fields = json.loads((output / "run.json").read_text(encoding="utf-8"))
    return {
        "files": sorted(path.name for path in output.iterdir()),
        "model": hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest(),
        "checkpoint": output.with_name(f"{output.name}-{LAST}").read_text(encoding="ascii"),
        "history": [_without_times(line) for line in lines],
        "fields": {
            **_without_times(fields),
            "recipe": {**fields["recipe"], "workers": None},
            "data": {**fields["data"], "asked": None},
        },
    }


def digest_state(tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a checkpoint: its tensors, and the position in the run."""
    total = hashlib.sha256()
    for name in sorted(name for name in tensors if not name.startswith("lap.")):  # sums of one epoch
        total.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}\n".encode())
        total.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    total.update(json.dumps([state["phase"], state["steps"]]).encode())
    return total.hexdigest()


def _without_times(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in TIMES}
