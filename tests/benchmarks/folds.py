"""Measure how long a cross-validation takes compared with one run, each with an empty cache folder.

    python tests/benchmarks/folds.py mobilenet_v2 FOLDER [--weights FILE] [--folds 5] [--pairs 3] [--limit 2]

The script prints both times, and the ratios of the times and of the processor times, which depend less on what else
the machine does. It fails if the cross-validation takes --limit times as long as the run, at the median.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Times(NamedTuple):
    """The duration of a command and its processor time, in seconds."""

    wall: float
    processor: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone")
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--limit", type=float, default=2.0)
    arguments = parser.parse_args()
    options = ["--data", str(arguments.data.resolve())]
    options += ["--weights", str(Path(arguments.weights).resolve())] if arguments.weights else []
    command = [sys.executable, "-m", "zoo", "finetune", arguments.backbone, *options]
    ratios = [measure(command, arguments.folds) for _ in range(arguments.pairs)]
    wall, processor = (statistics.median(each) for each in zip(*ratios, strict=True))
    sys.stdout.write(
        f"{arguments.folds} folds take {wall:.2f} times as long as one run, "
        f"and {processor:.2f} times the processor time\n"
    )
    return int(wall >= arguments.limit)


def measure(command: Sequence[str], folds: int) -> Times:
    """Return the ratios of both times."""
    one, all_ = time_command(command), time_command([*command, "--folds", str(folds)])
    ratios = Times(all_.wall / one.wall, all_.processor / one.processor)
    sys.stdout.write(
        f"one run {one.wall:.1f} s, {folds} folds {all_.wall:.1f} s, ratio {ratios.wall:.2f}; "
        f"processor time {one.processor:.1f} s and {all_.processor:.1f} s, ratio {ratios.processor:.2f}\n"
    )
    sys.stdout.flush()
    return ratios


def time_command(command: Sequence[str]) -> Times:
    """Run a command in an empty folder with an empty cache folder."""
    with tempfile.TemporaryDirectory() as place:
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        environment = {**os.environ, "ZOO_CACHE": f"{place}/cache"}
        subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Times(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    sys.exit(main())
