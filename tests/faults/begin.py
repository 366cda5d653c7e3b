"""What all harnesses begin with: the run that nobody disturbs, and a list of what went wrong in the others."""

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

from toy import describe, draw  # noqa: E402  # the path and the threads come first
from trial import Trial, Weakness, stand  # noqa: E402


class Wrong(Counter[str]):
    """What went wrong, and how often."""

    def note(self, complaint: str | None) -> None:
        """Count a complaint, if it is one."""
        if complaint:
            self[complaint] += 1


@dataclass(frozen=True)
class Whole:
    """The run that nobody disturbed."""

    photos: Path
    seconds: float
    #: How many points it came by.
    points: int
    wanted: dict[str, Any]

    def compare(self, output: Path) -> str | None:
        """Say in what another run came to something else."""
        found = describe(output)
        other = [name for name, value in self.wanted.items() if found[name] != value]
        return f"another {', '.join(other)}" if other else None


def prepare(folder: Path, weaken: Weakness = stand, options: dict[str, Any] | None = None) -> Whole:
    """Draw images, and run on them to the end."""
    draw(folder / "photos")
    trial, start = Trial(folder / "photos", folder / "whole", weaken, options or {}), time.perf_counter()
    code, _ = trial.begin()
    if code:
        sys.exit(f"the run that nobody disturbs ends with {code}: {(folder / 'whole-said').read_text()}")
    seconds = time.perf_counter() - start
    return Whole(folder / "photos", seconds, trial.points.value, describe(folder / "whole"))


def parse(about: str, count: int) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count, metavar="N", help="how often")
    parser.add_argument("--teeth", action="store_true", help="take the defences out")
    return parser.parse_args()


def judge(name: str, what: str, harm: Callable[[Path], Wrong], count: int) -> int:
    """Do harm in a folder of its own, and print a line; return 1 where it is not as it should be."""
    with TemporaryDirectory() as folder:
        os.environ["ZOO_CACHE"] = str(Path(folder, "cache"))
        wrong = harm(Path(folder))
    bad = sum(wrong.values())
    most = "".join(f"; {number} times {complaint}" for complaint, number in wrong.most_common(3))
    sys.stdout.write(f"{f'without {name}: ' if name else ''}{bad} of {count} {what} did harm{most}\n")
    sys.stdout.flush()
    return int(bool(bad) != bool(name))
