"""The proof that an export gives the probabilities of its run, in its own runtime and in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import ExportError
from zoo.progress import Progress
from zoo.runs.export import in_runtime
from zoo.runs.export.batches import SIZES, Batch, ValidationImages, list_batches
from zoo.runs.export.network import Plan

#: Largest difference of a probability if the export gets image files, and if it gets the input of the model.
BOUNDS = {"images": 5e-3, "tensors": 1e-4}
#: Seconds after which a runtime is stopped.
_TIMEOUT = 3600


@dataclass(frozen=True)
class Compared:
    """The comparison for one kind of input."""

    #: Number of images, including those in several batches.
    predictions: int
    #: Number of predictions with the same most probable class.
    same_top: int
    #: Largest difference of a probability, and the path of the image.
    difference: float
    path: str
    bound: float

    def describe(self) -> str:
        """Return the result as a clause."""
        return (
            f"the most probable class is the same for {self.same_top} of {self.predictions} predictions, and the "
            f"largest difference of a probability is {self.difference:.1e}"
        )


@dataclass(frozen=True)
class Case:
    """A batch, what the run predicts for it, and what the script gets."""

    kind: str
    paths: tuple[Path, ...]
    expected: Tensor
    job: dict[str, Any]


def prove(
    plan: Plan, folder: Path, golden: Sequence[Path], images: ValidationImages, progress: Progress
) -> tuple[dict[str, Compared], Tensor]:  # fmt: skip
    """Compare an export with its run.

    Returns:
        The comparison for each kind of input, and the run's probabilities for the golden images.

    Raises:
        ExportError: If the export cannot be used or differs too much.
    """
    count = plan.classifier.header.input.size[0]
    with TemporaryDirectory() as scratch:
        cases = list(_list_cases(plan, list(list_batches(golden, images.paths, count)), Path(scratch), progress))
        classes, found = _run(plan.format, folder, [case.job for case in cases], Path(scratch))
    order = _match(plan.format, plan.classifier.classes, classes)
    compared = {
        kind: _compare([(case, rows[:, order]) for case, rows in zip(cases, found, strict=True) if case.kind == kind])
        for kind in dict.fromkeys(case.kind for case in cases)
    }
    for result in compared.values():
        if not result.difference <= result.bound:  # NaN fails as well
            raise ExportError(
                f"the {plan.format} export does not give the probabilities of the run: {result.describe()}, for "
                f"{_shorten(result.path, folder)}; at most {result.bound:g} is allowed. Nothing was written."
            )
    return compared, torch.cat([case.expected for case in cases if case.kind == "images"][: len(golden)])


def _shorten(path: str, folder: Path) -> str:
    """Return the path of a golden image without that of the temporary folder, and any other path unchanged."""
    return Path(path).relative_to(folder).as_posix() if Path(path).is_relative_to(folder) else path


def _list_cases(plan: Plan, batches: Sequence[Batch], scratch: Path, progress: Progress) -> list[Case]:
    cases: list[Case] = []
    inputs, paths, channels = [], [], plan.classifier.header.input.size[0]
    with progress.track("classifying", len(batches)) as advance:
        for batch in batches:
            prepared = batch.read(plan.classifier)
            job = {"paths": [str(path) for path in batch.paths], "size": batch.size, "channels": channels}
            cases.append(Case("images", batch.paths, _classify(plan, prepared), job))
            if batch.size is None:
                inputs.append(prepared)
                paths.append(batch.paths[0])
            advance(1)
    if plan.place == "outside":
        cases += _list_tensor_cases(plan, inputs, paths, scratch)
    return cases


def _list_tensor_cases(plan: Plan, inputs: list[Tensor], paths: list[Path], scratch: Path) -> list[Case]:
    """Write the inputs of the model for the runtime, in batches of different sizes."""
    cases: list[Case] = []
    start = 0
    while start < len(inputs):
        stop = min(start + SIZES[len(cases) % len(SIZES)], len(inputs))
        batch, file = torch.cat(inputs[start:stop]), scratch / f"{start}.npy"
        np.save(file, batch.numpy())
        cases.append(Case("tensors", tuple(paths[start:stop]), _classify(plan, batch), {"tensors": str(file)}))
        start = stop
    return cases


@torch.inference_mode()
def _classify(plan: Plan, inputs: Tensor) -> Tensor:
    logits: Tensor = plan.classifier.model(inputs)
    return logits.softmax(1)


def _run(format: str, folder: Path, batches: list[dict[str, Any]], scratch: Path) -> tuple[list[str], list[Tensor]]:
    """Run the export in a fresh process, and return its classes and the probabilities of each batch."""
    job, result = scratch / "job.json", scratch / "result.npz"
    job.write_text(json.dumps({"format": format, "artifact": str(folder.absolute()), "batches": batches}))
    # -P keeps the modules of this folder from hiding those that the script imports.
    command = [sys.executable, "-P", in_runtime.__file__, str(job), str(result)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=_TIMEOUT)  # noqa: S603  # ours
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {error.returncode}"]
        raise ExportError(f"the {format} export cannot be used: {lines[-1]!s:.300}. Nothing was written.") from error
    except subprocess.TimeoutExpired as error:
        message = f"the {format} export did not classify the images within {_TIMEOUT} seconds. Nothing was written."
        raise ExportError(message) from error
    with np.load(result, allow_pickle=False) as arrays:
        classes = json.loads(arrays["classes"].tobytes())
        return classes, [torch.from_numpy(arrays[f"arr_{index}"]) for index in range(len(batches))]


def _match(format: str, classes: Sequence[str], found: Sequence[str]) -> list[int]:
    """Return the position of each class of the run in the export."""
    if sorted(found) != sorted(classes):
        raise ExportError(f"the {format} export has other classes than the run. Nothing was written.")
    return [found.index(name) for name in classes]


def _compare(results: Sequence[tuple[Case, Tensor]]) -> Compared:
    rows = [
        (path, expected, found)
        for case, given in results
        for path, expected, found in zip(case.paths, case.expected, given, strict=True)
    ]
    differences = [(found - expected).abs().max().nan_to_num(float("inf")).item() for _, expected, found in rows]
    worst = max(range(len(rows)), key=differences.__getitem__)
    same = sum(bool(expected.argmax() == found.argmax()) for _, expected, found in rows)
    return Compared(len(rows), same, differences[worst], str(rows[worst][0]), BOUNDS[results[0][0].kind])
