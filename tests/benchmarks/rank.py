"""Judge `zoo rank` by the accuracy that is lost by fine-tuning what it puts first.

    python tests/benchmarks/rank_pool.py FOLDER --assets ASSETS
    python tests/benchmarks/rank.py FOLDER --assets ASSETS

rank_pool.py makes the backbones and the data sets, and says what is compared. This script ranks them on train,
fine-tunes each backbone on each data set with each recipe, and compares the accuracies on val. It takes a few
hours on two cores. If it is interrupted, run it again to continue. ASSETS contains ``weights/`` and
``data/hymenoptera_data``.

    python tests/benchmarks/rank.py FOLDER --assets ASSETS --time

This compares the time of ranking the weights in ASSETS on photos of ants and bees with that of fine-tuning one of them
with the tutorial's loop, and fails if the ranking takes longer.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import zoo
from rank_judge import Cell, choose, judge, measure_regret
from rank_pool import HELD_OUT, MADE, REAL, RECIPES, TASKS, Made, Real, Task, read_accuracy, weights_of
from zoo.progress import open_progress
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import open_registry
from zoo.runs.folder import RunFolder
from zoo.runs.predictions import read_predictions
from zoo.training.rank.candidates import Filters, list_candidates
from zoo.training.rank.images import open_rank_images
from zoo.training.rank.rank import MAX_IMAGES, score_all
from zoo.training.rank.record import Ranked
from zoo.training.rank.scores import Scores

#: Number of epochs of the tutorial.
EPOCHS = 25


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--assets", type=Path, required=True, help="folder with weights/ and data/hymenoptera_data")
    parser.add_argument("--tasks", nargs="+", default=[task.name for task in TASKS], help="only these data sets")
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES], help="only these recipes")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="number of epochs of the tutorial's loop")
    parser.add_argument("--finished", action="store_true", help="only where all backbones have been fine-tuned")
    parser.add_argument("--time", action="store_true", help="compare the time with that of the tutorial's loop")
    arguments = parser.parse_args()
    if arguments.time:
        return compare_time(arguments.folder, arguments.assets, arguments.epochs)
    names = list_names(arguments.folder, arguments.assets)
    cells = [
        measure(task, recipe, names, arguments.folder)
        for task in (*TASKS, *HELD_OUT)
        if task.name in arguments.tasks
        for recipe in arguments.recipes
        if not arguments.finished
        or all(truth_of(task, recipe, one, arguments.folder).exists() for one in names.values())
    ]
    report(cells)
    return 0


def list_names(folder: Path, assets: Path) -> dict[str, Made | Real]:
    """Return all backbones by the names that `zoo rank` takes."""
    made = {f"{one.backbone}={weights_of(one, folder)}": one for one in MADE}
    return {f"{one.backbone}={assets / 'weights' / one.file}": one for one in REAL} | made


def measure(task: Task, recipe: str, names: dict[str, Made | Real], folder: Path) -> Cell:
    """Rank the backbones on train, and fine-tune all of them."""
    # Accuracies on drawings count as published only among themselves. A thousandth of them keeps their order, and is
    # less than any accuracy on ImageNet.
    accuracies = {name: read_accuracy(one, folder) for name, one in names.items() if isinstance(one, Made)}
    catalog = {name: accuracy and accuracy / 1000 for name, accuracy in accuracies.items()}
    found = [
        (dataclasses.replace(record, catalog=catalog.get(record.name, record.catalog)), scores)
        for record, scores in rank(task, [*names], folder)
    ]
    truth = {name: fine_tune(task, recipe, name, one, folder) for name, one in names.items()}
    return Cell(task.name, recipe, found, truth, frozenset(names) - catalog.keys())


def rank(task: Task, names: Sequence[str], folder: Path) -> list[tuple[Ranked, Scores]]:
    """Return the records and scores of all backbones on the training images of a task."""
    registry, progress = open_registry(), open_progress()
    settings = make_recipe({"image_size": task.image_size, "device": "cpu", "precision": "fp32"})
    data = folder / "data" / task.name / "train"
    images = open_rank_images(data, settings, MAX_IMAGES, registry=registry, progress=progress)
    candidates = list_candidates(names, Filters(), registry, progress)
    found, failed = score_all(candidates, images, Filters(), settings, registry, progress)
    if failed:
        sys.exit("; ".join(f"{record.name}: {record.problem}" for record in failed))
    return found


def fine_tune(task: Task, recipe: str, name: str, one: Made | Real, folder: Path) -> Tensor:
    """Return which validation images are classified correctly after fine-tuning."""
    target = truth_of(task, recipe, one, folder)
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        output = folder / "runs" / target.stem
        output.parent.mkdir(exist_ok=True)
        backbone, _, weights = name.partition("=")
        run = zoo.finetune(
            backbone, folder / "data" / task.name, weights=weights, output=output, resume=True,
            image_size=task.image_size, device="cpu", precision="fp32", progress=open_progress(), **RECIPES[recipe],  # type: ignore[arg-type]
        )  # fmt: skip
        partial = target.with_suffix(".part")
        partial.write_text(json.dumps([*list_correct(run.path)]), encoding="utf-8")
        partial.rename(target)
        shutil.rmtree(output)
    return torch.tensor(json.loads(target.read_text(encoding="utf-8")))


def truth_of(task: Task, recipe: str, one: Made | Real, folder: Path) -> Path:
    """Return the path of the results of fine-tuning."""
    return folder / "truth" / f"{task.name}-{recipe}-{one.name}.json"


def list_correct(run: Path) -> Iterator[bool]:
    """Yield which validation images are classified correctly, in the order of their paths."""
    found = [one for one in read_predictions(RunFolder.open(run)) if one.split == "val"]
    yield from (one.is_correct for one in sorted(found, key=lambda one: one.path))


def report(cells: Sequence[Cell]) -> None:
    """Print the regret of each cell, and the tables with all backbones and with the made ones alone."""
    made = [cell.only(frozenset(cell.truth) - cell.real) for cell in cells]
    for cell in cells:
        chosen = choose(cell)
        regrets = (f"{method} {measure_regret(cell, names[:1]):.1f}" for method, names in chosen.items())
        sys.stdout.write(f"{cell.task}, {cell.recipe}: regret@1 in points: {', '.join(regrets)}\n")
    for line in (*judge(cells, "all backbones"), "", *judge(made, "made backbones")):
        sys.stdout.write(f"{line}\n")


def compare_time(folder: Path, assets: Path, epochs: int) -> int:
    """Print how long ranking the real weights takes, and how long the tutorial's loop takes for one of them."""
    photos = assets / "data" / "hymenoptera_data"
    names = [f"{one.backbone}={assets / 'weights' / one.file}" for one in REAL]
    shutil.rmtree(folder / "time", ignore_errors=True)
    (folder / "time" / "tutorial").mkdir(parents=True)
    environment = {**os.environ, "ZOO_CACHE": str(folder / "time" / "cache")}
    command = [str(Path(sys.executable).with_name("zoo")), "rank", f"--data={photos}", "--device=cpu", *names]
    ranking = _run(command, environment)
    job: dict[str, Any] = {
        "workload": "frozen", "model": "mobilenet_v2", "timm_model": "", "data": str(photos),
        "output": str(folder / "time" / "tutorial"), "epochs": epochs, "batch_size": 32, "size": 224, "seed": 0,
        "device": "cpu", "weights": str(assets / "weights" / REAL[0].file), "timm_weights": None, "timm_train": None,
    }  # fmt: skip
    script = Path(__file__).with_name("peers") / "tutorial.py"
    tutorial = _run([sys.executable, str(script), json.dumps(job)], environment)
    sys.stdout.write(
        f"ranking {len(names)} weights files takes {ranking[0]:.0f} s, and the tutorial's loop {tutorial[0]:.0f} s for "
        f"{epochs} epochs of mobilenet_v2; the processor times are {ranking[1]:.0f} s and {tutorial[1]:.0f} s\n"
    )
    return int(ranking[0] >= tutorial[0])


def _run(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command, and return its time and its processor time in seconds."""
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, used


if __name__ == "__main__":
    sys.exit(main())
