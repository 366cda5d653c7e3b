"""Stage ``epochs``: images per second of training epochs, including decoding, for zoo and its peers.

All of them train the same network from random weights with the same batch size. Validation does not count, and neither
does the first epoch, which is for warming up. zoo trains with its defaults, so it keeps up to one gigabyte of decoded
images in memory. The tutorial's loop uses float32 and four workers, as in the tutorial. timm's train.py uses bfloat16,
channels_last, pinned memory, one worker per core, and zoo's optimizer and augmentation.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import tutorial
import zoo
from context import MIB, Context, measure_each, measured, read_context, release_memory
from measure import measure as run_process
from plan import Candidate
from recording_progress import RecordingProgress
from results import SKIPPED, Result
from steps import Peak

STAGE = "epochs"
#: Timeout in seconds of timm's train.py.
PATIENCE = 120
TIMM_FLAGS = (
    "--amp",
    "--amp-dtype",
    "bfloat16",
    "--channels-last",
    f"--workers={os.cpu_count()}",
    "--pin-mem",
    "--opt=adamw",
    "--color-jitter=0",
    "--train-interpolation=bilinear",
    *("--scale", "0.35", "1.0"),
    "--log-interval=1000",
)


def train_ours(context: Context, candidate: Candidate, *, compile_: bool = False, stage: str = STAGE) -> Result:
    """Train with ``zoo.finetune``. As with the peers, frozen features are computed in every epoch."""
    folder = context.make_folder("zoo")
    os.environ["ZOO_CACHE"] = str(folder / "cache")
    peak, plan = Peak(context.hardware.device), context.plan
    options: dict[str, Any] = {"weights": "none", "head": candidate.head, "train": candidate.train, "cache": False}
    options |= {"augment": "crop-flip", "epochs": plan.epochs, "batch_size": plan.batch_size, "compile": compile_}
    options |= {"device": context.device, "precision": context.hardware.precision}
    progress = RecordingProgress()
    run = zoo.finetune(candidate.backbone, context.photos, output=folder / "run", progress=progress, **options)
    if failed := [line for line in progress.lines if "compilation failed" in line or "ignoring `compile`" in line]:
        raise RuntimeError(failed[0])
    lines = (run.path / "history.jsonl").read_text(encoding="utf-8").splitlines()
    seconds = [json.loads(line)["train_seconds"] for line in lines]
    images, precision = run.facts["data"]["images"]["train"], run.facts["hardware"]["precision"]
    return describe(stage, f"{candidate.name}, zoo", seconds, images, precision, peak=peak.read())


def train_tutorial(context: Context, candidate: Candidate) -> Result:
    """Train with the tutorial's loop in this process, on fewer photos because the loop is slow."""
    job = context.make_job(candidate, "tutorial", data=context.link_few_photos(), epochs=2)
    peak = Peak(context.hardware.device)
    answer = tutorial.train(job)
    images = answer["images"] // answer["epochs"]
    return describe(STAGE, f"{candidate.name}, tutorial", answer["epoch_seconds"], images, "fp32", peak=peak.read())


def train_timm(context: Context, candidate: Candidate, *flags: str, stage: str = STAGE) -> Result:
    """Train with timm's train.py in a separate process."""
    name = f"{candidate.name}, timm"
    if candidate.timm_name is None:
        return Result(stage, name, SKIPPED, "train.py cannot freeze")
    if context.timm_train is None:
        return Result(stage, name, SKIPPED, "train.py is missing; see tests/gpu/pack.sh")
    job = dataclasses.asdict(context.make_job(candidate, "timm"))
    script = Path(tutorial.__file__).with_name("timm_peer.py")
    command: list[str | Path] = [sys.executable, script, json.dumps(job, default=str), *TIMM_FLAGS, *flags]
    done = run_process(command, os.environ, context.scratch / "timm-log", PATIENCE)
    if "error" in done:
        raise RuntimeError(f"timm: {done['error']}")
    answer: dict[str, Any] = done["answer"]
    images = answer["images"] // answer["epochs"]
    return describe(stage, name, answer["epoch_seconds"], images, " ".join(["bf16", *flags]))


def measure(context: Context, candidate: Candidate) -> Iterator[Result]:
    """Train with zoo and its peers, one network after another, because time may run out."""
    for train in (train_ours, train_timm, train_tutorial):
        yield train(context, candidate)
        release_memory()


def describe(
    stage: str, name: str, seconds: Sequence[float], images: int, note: str, *, peak: int | None = None
) -> Result:
    """Return the images per second of the median epoch, not counting the first. An epoch has ``images`` images."""
    rate = images / median(seconds[1:])
    return measured(stage, name, note, images_per_second=rate, peak_mib=peak and peak / MIB)


if __name__ == "__main__":
    context = read_context()
    measure_each(STAGE, context.plan.candidates, partial(measure, context))
