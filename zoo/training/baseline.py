"""The baseline of a run: the same network, trained from random weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.errors import NotFinite, TrainingError
from zoo.progress import Progress
from zoo.registry.train_scope import ALL
from zoo.runs.folder import BASELINE
from zoo.runs.record import Record
from zoo.training.job import Job
from zoo.training.run import Run


def train_baseline(job: Job, record: Record | None, finetune: Callable[..., Run]) -> Run | None:
    """Train the same network from random weights; None if this was not requested or failed.

    ``finetune`` is `zoo.finetune`, which calls this function.
    """
    if job.recipe.baseline != "scratch":
        return None
    job.progress.say("baseline: training the same network from random weights for the same number of epochs")
    # The layers of a random network are all new, so none of them gets a lower learning rate.
    recipe = replace(job.recipe, weights="none", baseline="none", layer_decay=1.0)
    if recipe.scope != ALL:  # Options that work for a head do not work for a full network.
        recipe = replace(recipe, train=str(ALL), lr=None, augment=None, views=None)
    tag = f"@{job.weights.tag}" if job.weights.tag else ""  # The tag determines the architecture and the input size.
    try:
        return finetune(
            f"{job.resolved.backbone.name}{tag}",
            job.data,
            output=record.folder.path / BASELINE if record else Path(BASELINE),  # Only the first process writes.
            resume=True,
            registry=job.registry,
            progress=job.progress,
            **dataclasses.asdict(recipe),
        )
    except TrainingError as error:
        if job.hardware.world.size > 1 and not isinstance(
            error, NotFinite
        ):  # The other processes may still be running.
            raise
        job.progress.say(f"warning: no baseline: {error}")
        return None


def compare_baseline(facts: Mapping[str, Any], baseline: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Return how much more accurate the run is than its baseline."""
    split = "test" if facts.get("test") else "val"
    accuracy = baseline[split]["accuracy"]
    gain = facts[split]["accuracy"] - accuracy
    if gain >= 0:
        progress.say(
            f"transfer gain: {100 * gain:+.1f} points on the {split} images, compared with {accuracy:.3f} from scratch"
        )
    else:
        progress.say(
            f"negative transfer: pretrained weights lower the accuracy by {-100 * gain:.1f} points compared with "
            f"training from scratch, which reaches {accuracy:.3f} on the {split} images"
        )
    return {"path": BASELINE, "split": split, "accuracy": accuracy, "gain": gain}
