"""Stage ``frozen``: training a new last layer on a frozen network with zoo and with the tutorial's loop.

Both are timed from the call to its return, in one process and without imports. zoo runs twice, each time with an empty
cache. Only the second run counts, because the first one also warms up the device.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import tutorial
import zoo
from context import Context, measure_each, measured, read_context, release_memory
from plan import Candidate
from results import Result

STAGE = "frozen"


def measure(context: Context, candidate: Candidate) -> Iterator[Result]:
    """Time zoo, then the tutorial's loop."""
    photos = context.link_few_photos()
    first, seconds = (time_ours(context, candidate, photos) for _ in range(2))
    yield measured(STAGE, f"{candidate.name}, zoo", seconds=seconds, first_run_seconds=first)
    release_memory()
    job = context.make_job(candidate, "tutorial", data=photos, epochs=context.plan.frozen_epochs)
    started = time.perf_counter()
    tutorial.train(job)
    tutorial_seconds = time.perf_counter() - started
    yield measured(
        STAGE,
        candidate.name,
        f"{context.plan.frozen_epochs} epochs of {context.plan.few_images} images",
        seconds=seconds,
        tutorial_seconds=tutorial_seconds,
        tutorial_over_zoo=tutorial_seconds / seconds,
    )


def time_ours(context: Context, candidate: Candidate, photos: Path) -> float:
    """Return the duration of ``zoo.finetune`` in seconds with an empty cache."""
    folder = context.make_folder("zoo")
    os.environ["ZOO_CACHE"] = str(folder / "cache")
    started = time.perf_counter()
    zoo.finetune(
        candidate.backbone,
        photos,
        output=folder / "run",
        weights="none",
        head=candidate.head,
        epochs=context.plan.frozen_epochs,
        batch_size=context.plan.batch_size,
        device=context.device,
        precision=context.hardware.precision,
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    context = read_context()
    measure_each(STAGE, context.plan.frozen, partial(measure, context))
