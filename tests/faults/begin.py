"""The common part of all fault harnesses: a reference run that is not disturbed, and a list of failures."""

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

from toy import describe, draw  # noqa: E402  # only after the path and the threads are set
from trial import Trial, Weakness, keep_defenses  # noqa: E402


class Failures(Counter[str]):
    """The failures and their number."""

    def note(self, complaint: str | None) -> None:
        """Add a complaint, unless it is None."""
        if complaint:
            self[complaint] += 1


@dataclass(frozen=True)
class Reference:
    """The run that was not disturbed."""

    photos: Path
    seconds: float
    #: Number of points that it passed.
    points: int
    wanted: dict[str, Any]

    def compare(self, output: Path) -> str | None:
        """Return how another run differs from this one, or None."""
        found = describe(output)
        other = [name for name, value in self.wanted.items() if found[name] != value]
        return f"differs in {', '.join(other)}" if other else None


def prepare(folder: Path, weaken: Weakness = keep_defenses, options: dict[str, Any] | None = None) -> Reference:
    """Draw images and complete a run on them."""
    draw(folder / "photos")
    trial, start = Trial(folder / "photos", folder / "whole", weaken, options or {}), time.perf_counter()
    code, _ = trial.begin()
    if code:
        sys.exit(f"the reference run ends with {code}: {(folder / 'whole-said').read_text()}")
    seconds = time.perf_counter() - start
    return Reference(folder / "photos", seconds, trial.points.value, describe(folder / "whole"))


def parse(about: str, count: int) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count, metavar="N", help="number of faults")
    parser.add_argument("--teeth", action="store_true", help="remove each defense in turn, and expect failures")
    return parser.parse_args()


def judge(name: str, what: str, harm: Callable[[Path], Failures], count: int) -> int:
    """Cause faults in a temporary folder and print a summary. Return 1 if any run failed."""
    with TemporaryDirectory() as folder:
        os.environ["ZOO_CACHE"] = str(Path(folder, "cache"))
        failures = harm(Path(folder))
    bad = sum(failures.values())
    most = "".join(f"; {complaint} ({number} times)" for complaint, number in failures.most_common(3))
    sys.stdout.write(f"{f'without {name}: ' if name else ''}{bad} of {count} {what} caused a failure{most}\n")
    sys.stdout.flush()
    return int(bool(bad) != bool(name))
