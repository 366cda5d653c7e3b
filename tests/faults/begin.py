"""The common part of all fault scripts: an uninterrupted reference run, and a list of failures."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE", PYTHONWARNINGS="ignore")
sys.path[:0] = [str(Path(__file__).parents[1] / "props")]

from toy import describe, generate  # noqa: E402  # after the path and the number of threads are set
from trial import Trial, Weakness, keep_safeguards  # noqa: E402


class Failures(Counter[str]):
    """Descriptions of failures, with the number of times that each occurred."""

    def note(self, failure: str | None) -> None:
        """Add a failure, unless it is None."""
        if failure:
            self[failure] += 1


@dataclass(frozen=True)
class Reference:
    """The uninterrupted run."""

    photos: Path
    seconds: float
    #: Number of points that the run passed.
    points: int
    #: Description of the run, see ``describe``.
    wanted: dict[str, Any]

    def compare(self, output: Path) -> str | None:
        """Return how a different run differs from this one, or None if it does not."""
        found = describe(output)
        other = [name for name, value in self.wanted.items() if found[name] != value]
        return f"differs in {', '.join(other)}" if other else None


def prepare(folder: Path, weaken: Weakness = keep_safeguards, options: dict[str, Any] | None = None) -> Reference:
    """Generate images and complete a run on them."""
    generate(folder / "photos")
    trial, start = Trial(folder / "photos", folder / "whole", weaken, options or {}), time.perf_counter()
    code, _ = trial.begin()
    if code:
        sys.exit(f"the reference run exited with code {code}: {(folder / 'whole-log').read_text()}")
    seconds = time.perf_counter() - start
    return Reference(folder / "photos", seconds, trial.points.value, describe(folder / "whole"))


def parse(about: str, count: int) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count, metavar="N", help="number of faults")
    parser.add_argument("--teeth", action="store_true", help="disable each safeguard in turn, and expect failures")
    return parser.parse_args()


def judge(name: str, what: str, harm: Callable[[Path], Failures], count: int) -> int:
    """Cause faults in a temporary folder and print a summary.

    Args:
        name: Name of the safeguard that is disabled, or an empty string.
        what: Kind of the faults, for the summary.
        harm: Function that causes the faults and returns the failures.
        count: Number of faults.

    Returns:
        1 if there were failures, else 0. With a disabled safeguard, 0 if there were failures, else 1.
    """
    with TemporaryDirectory() as folder:
        os.environ["ZOO_CACHE"] = str(Path(folder, "cache"))
        failures = harm(Path(folder))
    bad = sum(failures.values())
    most = "".join(f"; {failure} ({number}x)" for failure, number in failures.most_common(3))
    sys.stdout.write(f"{f'without {name}: ' if name else ''}{bad} of {count} {what} caused a failure{most}\n")
    sys.stdout.flush()
    return int(bool(bad) != bool(name))
