"""The command line of the stages that measure, and the code that they share."""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from job import Job
from plan import Candidate, Plan, choose_plan
from results import FAILED, MEASURED, Result, record
from steps import Workload
from zoo.engine.device import Hardware, choose_hardware
from zoo.engine.precision import computes_bf16

MIB = 2**20
#: Height and width of an image in pixels.
SIZE = 224


@dataclass(frozen=True)
class Context:
    """The settings of a stage."""

    device: str
    plan: Plan
    #: Folder with ``train`` and ``val``.
    photos: Path
    #: Empty folder for run folders and caches.
    scratch: Path
    #: Copy of timm's train.py, or None.
    timm_train: Path | None

    @property
    def hardware(self) -> Hardware:
        """The device, with bf16 on a GPU that supports it and otherwise fp32."""
        hardware = choose_hardware(self.device)
        is_bf16 = hardware.device.type == "cuda" and computes_bf16(hardware.device)
        return replace(hardware, precision="bf16" if is_bf16 else "fp32")

    def make_folder(self, name: str) -> Path:
        """Create an empty folder in the scratch folder."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def link_few_photos(self) -> Path:
        """Return a folder with fewer training photos, for slow peers, and all validation photos."""
        folder = self.scratch / "few"
        for split, count in (("train", self.plan.few_images), ("val", self.plan.val_images)):
            # The names are numbers that alternate between the classes, so each class keeps the same number of photos.
            photos = sorted((self.photos / split).glob("*/*.jpg"), key=lambda photo: photo.name)
            for photo in photos[:count]:
                link = folder / split / photo.parent.name / photo.name
                link.parent.mkdir(parents=True, exist_ok=True)
                if not link.exists():
                    os.link(photo, link)
        return folder

    def make_workload(self, candidate: Candidate) -> Workload:
        """Return the settings for timing the training steps of a candidate."""
        return Workload(
            candidate.backbone,
            self.plan.batch_size,
            candidate.head,
            candidate.train,
            pairs=self.plan.pairs,
            steps=self.plan.steps,
            warm_up=self.plan.warm_up,
        )

    def make_job(self, candidate: Candidate, name: str, **changes: Any) -> Job:
        """Return the job for the scripts of the peers, with an empty output folder of the given name."""
        job = Job(
            workload="vgg" if candidate.head != "linear" else "frozen" if candidate.train == "head" else "full",
            model=candidate.name,
            timm_model=candidate.timm_name or "",
            data=self.photos,
            output=self.make_folder(name),
            epochs=self.plan.epochs,
            batch_size=self.plan.batch_size,
            size=SIZE,
            seed=0,
            device=self.device,
            weights=None,
            timm_weights=None,
            timm_train=self.timm_train,
        )
        return replace(job, **changes)


def read_context() -> Context:
    """Parse the command line of a stage, and end its child processes on SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--timm-train", type=Path)
    options = parser.parse_args()
    plan = choose_plan(quick=options.quick)
    return Context(options.device, plan, options.photos, options.scratch, options.timm_train)


def measure_each(stage: str, candidates: Iterable[Candidate], measure: Callable[[Candidate], Iterable[Result]]) -> None:
    """Record the results of each candidate. If a candidate raises an error, record the failure and continue."""
    for candidate in candidates:
        try:
            for result in measure(candidate):
                record(result)
        except Exception as error:  # noqa: BLE001  # recorded, so that the check exits with 1
            record(Result(stage, candidate.name, FAILED, f"{type(error).__name__}: {error}".splitlines()[0]))
        release_memory()


def release_memory() -> None:
    """Free the memory that the last candidate used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measured(stage: str, name: str, note: str = "", **figures: float | None) -> Result:
    """Return a result with the given metrics, except those that are None."""
    known = {key: value for key, value in figures.items() if value is not None}
    return Result(stage, name, MEASURED, note, known)
