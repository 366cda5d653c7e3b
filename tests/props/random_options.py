"""Random combinations of training options, and what must be true of a run with any of them.

``python tests/props/random_options.py --count 400`` trains many of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from acme import draw_photos, make_acme
from interrupted_runs import Interrupts, describe
from made_registries import registry_of
from zoo.errors import ZooError
from zoo.registry.optimizer_design import OPTIMIZERS, OPTIONS
from zoo.registry.recipe import AUGMENTS, BALANCES, Recipe
from zoo.registry.registry import Registry
from zoo.registry.schedule_design import SCHEDULES
from zoo.runs.classifier import load
from zoo.training.finetune import finetune

#: Values to choose from. Compiling takes a minute, and results on a GPU are compared with less precision, so both have
#: tests of their own.
CHOICES: dict[str, tuple[Any, ...]] = {
    "weights": ("none",),
    "head": ("linear", "linear", "mlp:5", "mlp:6,4"),
    "train": ("head", "all", "from:layer2", "from:hidden", "head-then-all", "gradual", "from:nowhere", "head,norms"),
    "epochs": (1, 2, 3, 4),
    "batch_size": (1, 2, 3, 5, 7, 14, 100),
    "lr": (None, 0.0, 1e-3, 0.05, 1.0, 100.0),
    "optimizer": OPTIMIZERS,
    "momentum": (None, None, 0.0, 0.5, 0.999999),
    "nesterov": (False, False, True),
    "betas": (None, None, "0.5,0.9", "0,0"),
    "eps": (None, None, 1e-8, 0.1),
    "schedule": (*SCHEDULES, "step:1", "step:2,0.5"),
    "weight_decay": (None, 0.0, 0.1, 1.0),
    "layer_decay": (1.0, 0.7, 0.0),
    "warmup": (0.0, 0.3, 1.0, 2.5, 1000.0),
    "clip_norm": (None, 1e-6, 0.5, 1e6),
    "accumulate": (1, 2, 3, 50),
    "label_smoothing": (0.0, 0.1, 0.999),
    "balance": BALANCES,
    "augment": (None, *AUGMENTS),
    "erase": (0.0, 0.5, 1.0),
    "mixup": (0.0, 0.2, 100.0),
    "cutmix": (0.0, 1.0),
    "sync_batch_norm": (False, True),
    "shard": (False, False, False, True),
    "ema": (0.0, 0.5, 0.999999),
    "views": (None, 0, 1, 2, 3),
    "cache": (True, False),
    "baseline": ("none", "none", "none", "none", "scratch"),
    "precision": ("fp32", "fp32", "bf16", "auto", "fp16"),
    "compile": (False,),
    "label_from": (None,),
    "columns": (None,),
    "split": (None,),
    "resize": (None, "crop", "pad", "squash"),
    "image_size": (None, None, 20, 40),
    "channels": (None, None, None, 1),
    "mean": (None, "0.5"),
    "std": (None, "0.25,0.5,1"),
    "device": ("cpu",),
    "seed": (0, 1, 2**63 - 1),
    "save_every": (None, 1, 3),
    "patience": (None, 1, 3),
    "workers": (0, 2),
    "fold": (None, None, None, "1/2", "3/3"),
}
#: Largest difference between a recorded validation loss and that of the model file, which is evaluated in fp32.
TOLERANCES = {"fp32": 1e-3, "bf16": 0.1}


@dataclass(frozen=True)
class Place:
    """Images, a registry with the tiny network, and a folder for runs."""

    photos: Path
    registry: Registry
    runs: Path

    @classmethod
    def make(cls, folder: Path) -> Place:
        """Generate a few images, with classes of different sizes."""
        for split, counts in {"train": (4, 9), "val": (3, 4), "test": (2, 3)}.items():
            for name, count in zip(("blue", "red"), counts, strict=True):
                draw_photos(folder / "photos" / split, per_class=count, classes=(name,), seed=len(split) + count)
        return cls(folder / "photos", registry_of(make_acme()), folder / "runs")

    def train(self, name: str, **options: Any) -> Path:
        run = finetune("net", self.photos, output=self.runs / name, registry=self.registry, **options)
        return run.path


def draw_options(seed: int) -> dict[str, Any]:
    """Choose values for a random half of the options; the others keep their defaults."""
    rng = random.Random(seed)
    chosen = {name: rng.choice(values) for name, values in CHOICES.items() if rng.random() < 0.5}
    fixed = {"weights": "none", "device": "cpu", "workers": 0, "epochs": 2, "batch_size": 5}
    drawn = {**fixed, **chosen}
    # zoo refuses the options of other optimizers, so few combinations would be left.
    own = OPTIONS[drawn.get("optimizer", "adamw")]
    return {name: value for name, value in drawn.items() if name in own or name not in chain(*OPTIONS.values())}


def check_options(place: Place, seed: int) -> str:
    """Train with random options, and require a consistent run or an error of one line.

    Returns:
        What happened: ``finished``, ``resumed``, or the type of the error.
    """
    options = draw_options(seed)
    try:
        run = place.train(f"{seed}", **options)
    except ZooError as error:
        return _check_error(error)
    _check_history(run, options)
    _check_model(place, run)
    if seed % 3:
        return "finished"
    _check_resumed(place, run, options, seed)
    return "resumed"


def _check_error(error: ZooError) -> str:
    """Require a message of one line, and return the type of the error."""
    message = str(error)
    assert message.strip(), type(error)
    assert message.isprintable(), message
    return type(error).__name__


def _check_history(run: Path, options: Mapping[str, Any]) -> None:
    """Require finite numbers, and that the recorded best epoch is the best of the history."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(math.isfinite(value) for line in lines for value in line.values())
    assert 1 <= len(lines) == facts["epochs"] <= options["epochs"]
    assert options.get("patience") or len(lines) == options["epochs"]
    best = max(lines, key=lambda line: (line["val_accuracy"], -line["val_loss"]))
    best = lines[-1] if options.get("fold") else best
    assert facts["best"] == {name: best[name] for name in ("epoch", "val_accuracy", "val_loss")}
    assert facts["val"]["accuracy"] == pytest.approx(best["val_accuracy"])
    assert facts["frozen"]["before"] == facts["frozen"]["after"]
    assert all(line["lr"] <= max(phase["lr"] for phase in facts["phases"]) * (1 + 1e-9) for line in lines)


def _check_model(place: Place, run: Path) -> None:
    """Require that the model file has the recorded validation and test metrics."""
    facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
    if facts["recipe"]["fold"]:  # The images of a fold are not a split of the folder.
        return
    classifier, precision = load(run, device="cpu", registry=place.registry), facts["hardware"]["precision"]
    recorded = {"val": facts["best"]["val_loss"], "test": facts["test"]["loss"]}
    for split, loss in recorded.items():
        found = classifier.evaluate(place.photos, split, registry=place.registry)
        assert found["loss"] == pytest.approx(loss, rel=TOLERANCES[precision], abs=TOLERANCES[precision])
        if precision == "fp32":
            assert found["accuracy"] == facts[split]["accuracy"]


def _check_resumed(place: Place, run: Path, options: Mapping[str, Any], seed: int) -> None:
    """Require that the same run, interrupted and resumed, has the same result."""
    name = f"{seed}-torn"
    with pytest.MonkeyPatch.context() as monkeypatch:
        Interrupts(monkeypatch, random.Random(seed).randint(1, 6))
        try:
            place.train(name, **options)
        except KeyboardInterrupt:
            place.train(name, **options, resume=True)
    assert describe(place.runs / name) == describe(run)


@contextmanager
def temporary_place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZOO_CACHE"] = f"{folder}/cache"
        torch.set_num_threads(1)
        yield Place.make(Path(folder))


def main() -> int:
    """Train with many combinations, and print how often each thing happened, and each failure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="seed of the first combination")
    arguments, counts = parser.parse_args(), Counter[str]()
    with temporary_place() as place:
        for seed in range(arguments.first, arguments.first + arguments.count):
            try:
                counts[check_options(place, seed)] += 1
            except Exception as error:  # noqa: BLE001  # any error is a failure to report
                counts["failed"] += 1
                print(f"seed {seed}: {draw_options(seed)}\n  {type(error).__name__}: {error}", flush=True)  # noqa: T201
    print(dict(counts))  # noqa: T201  # a script
    return min(1, counts["failed"])


assert CHOICES.keys() == {field.name for field in dataclasses.fields(Recipe)}, "every option must be in CHOICES"

if __name__ == "__main__":
    sys.exit(main())
