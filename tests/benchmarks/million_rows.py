"""Measure the memory and the time until the first training step of a table with a million rows.

    python tests/benchmarks/million_rows.py FOLDER [--rows 1000000]

The rows name different paths in 1,000 folders. The paths are hard links to 1,000 images of 8 x 8 pixels, because a
million images would only need more disk space. They are kept in the folder for the next measurement. The memory is the
largest resident size until the first step, beyond that of the same run with 1,000 rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torchvision.io import encode_png

from zoo.progress import Advance, Silent
from zoo.training.finetune import finetune

#: Number of different images, and of rows in each folder.
IMAGES, PER_FOLDER = 1000, 1000
CLASSES = 100
#: Most megabytes of memory for a million rows, and most seconds until the first step.
MEMORY, SECONDS = 500, 60


class Stopped(Exception):  # it is no error
    """The first step is done."""


class UntilFirstStep(Silent):
    """Progress that stops the run after the first training step."""

    @contextmanager
    def track(self, what: str, total: int) -> Iterator[Advance]:  # noqa: ARG002  # Progress
        """Stop as soon as the first epoch advances."""

        def advance(count: int) -> None:
            if count and what == "epoch 1":
                raise Stopped

        yield advance


def write_table(folder: Path, rows: int) -> Path:
    """Return a table with this number of rows. If it does not exist, create it and its images."""
    table = folder / f"{rows}.csv"
    if table.exists():
        return table
    for number in range(IMAGES):
        path = folder / "images" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = torch.randint(256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(number))
        path.write_bytes(encode_png(image).numpy().tobytes())
    names = [f"folder_{number // PER_FOLDER:04}/image_{number:07}.png" for number in range(rows)]
    for number, name in enumerate(names):
        path = folder / name
        if not number % PER_FOLDER:
            path.parent.mkdir(exist_ok=True)
        if not path.exists():
            os.link(folder / "images" / f"{number % IMAGES}.png", path)
    lines = (f"{name},class_{number % CLASSES:03}\n" for number, name in enumerate(names))
    part = table.with_suffix(".part")
    part.write_text("path,label\n" + "".join(lines), encoding="utf-8")
    part.rename(table)
    return table


def train(table: Path, output: Path) -> None:
    """Train until the first step, and print the memory in megabytes, and the seconds of the clock and the processor."""
    started = time.perf_counter()
    try:
        finetune("tiny", table, output=output, train="all", batch_size=64, device="cpu", progress=UntilFirstStep())
    except Stopped:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        seconds = time.perf_counter() - started
        memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        print(json.dumps({"memory": memory, "seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime}))  # noqa: T201


def measure(folder: Path, rows: int) -> dict[str, float]:
    """Train in a process of its own with an empty cache, and return what it printed."""
    table = write_table(folder, rows)
    with TemporaryDirectory(dir=folder) as scratch:
        environment = {**os.environ, "ZOO_CACHE": f"{scratch}/cache", "ZOO_MAX_EXAMINED_IMAGES": "999"}
        command = [sys.executable, __file__, str(table), "--output", f"{scratch}/run"]
        result = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    measured: dict[str, float] = json.loads(result.stdout)
    return measured


def main() -> None:
    """Measure, print the result, and exit with 1 if it exceeds a bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.output:
        train(options.folder, options.output)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    few, many = measure(options.folder, 1000), measure(options.folder, options.rows)
    grown = many["memory"] - few["memory"]
    print(  # noqa: T201
        f"{options.rows:,} rows: {grown:.0f} MB more than 1,000 rows, {grown * 1e6 / options.rows:.0f} bytes per row; "
        f"first step after {many['seconds']:.1f} s, {many['cpu']:.1f} s of processor time in all"
    )
    if grown > MEMORY or many["seconds"] > SECONDS:
        sys.exit(f"a million rows may take {MEMORY} MB and {SECONDS} s")


if __name__ == "__main__":
    main()
