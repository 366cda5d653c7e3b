"""Kills runs with SIGKILL, half of them at random times and half at points of saving, and resumes them.

    python tests/faults/kills.py [--count 200] [--teeth]

Prints how many runs left an unreadable checkpoint, lost more than one interval, or ended differently from the reference
run. Files, model, last checkpoint and history are compared by SHA-256. With ``--teeth``, each defense is removed in
turn, and the harness must notice it. Exits with 1 after any failure.
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

from begin import Failures, judge, parse, prepare
from teeth import WEAKNESSES
from toy import EVERY
from trial import Fault, Trial, Weakness, keep_defenses


def kill_many(folder: Path, count: int, weaken: Weakness) -> Failures:
    """Return the failures and their number."""
    reference = prepare(folder, weaken)
    chance, failures = random.Random(0), Failures()
    for number in range(count):
        # The points come in order. Every second kill is at one of them, and these are spread evenly.
        point = Fault(point=1 + (number // 2) * reference.points // max(1, count // 2))
        fault = Fault(chance.uniform(0, reference.seconds)) if number % 2 else point
        trial = Trial(reference.photos, folder / f"run-{number}", weaken)
        code, _ = trial.begin(fault)
        # A kill while a checkpoint is written may lose that one. Then the preceding interval is lost, but never more.
        complaint = trial.find_fault(EVERY) if code else None
        if code and not complaint and number % 3 == 0:  # kill it again after it has resumed
            code, _ = trial.begin(Fault(chance.uniform(0, reference.seconds)))
            complaint = trial.find_fault(EVERY) if code else None
        if code and not complaint:
            code, _ = trial.begin()
            complaint = f"it ends with {code}" if code else None
        failures.note(complaint or reference.compare(trial.output))
    return failures


def main() -> int:
    """Kill runs and print a summary, or with ``--teeth`` a line for each defense."""
    options = parse(__doc__ or "", count=200)
    weaknesses = WEAKNESSES if options.teeth else {"": keep_defenses}
    codes = [
        judge(name, "kills", partial(kill_many, count=options.count, weaken=weaken), options.count)
        for name, weaken in weaknesses.items()
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
