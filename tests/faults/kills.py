"""Kills runs with SIGKILL, half of them at random times and half at the points of saving, and takes them up again.

    python tests/faults/kills.py [--count 200] [--teeth]

Prints how many left a state that cannot be read, lost more than one interval, or came to another end than the run that
nobody disturbed: its files, its model, its last state and its history are compared by SHA-256. With ``--teeth`` each
defence is taken out in turn, and something must come of it. Exits with 1 where anything is not as it should be.
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

from begin import Wrong, judge, parse, prepare
from teeth import WEAKNESSES
from toy import EVERY
from trial import Fault, Trial, Weakness, stand


def kill_many(folder: Path, count: int, weaken: Weakness) -> Wrong:
    """Return what went wrong, and how often."""
    whole = prepare(folder, weaken)
    chance, wrong = random.Random(0), Wrong()
    for number in range(count):
        # Points come by in order; every second kill is at one of them, spread evenly.
        point = Fault(point=1 + (number // 2) * whole.points // max(1, count // 2))
        fault = Fault(chance.uniform(0, whole.seconds)) if number % 2 else point
        trial = Trial(whole.photos, folder / f"run-{number}", weaken)
        code, _ = trial.begin(fault)
        # A kill while a state is saved may take that one: the interval before it is lost, never more.
        complaint = trial.find_fault(EVERY) if code else None
        if code and not complaint and number % 3 == 0:  # and again, while it goes on
            code, _ = trial.begin(Fault(chance.uniform(0, whole.seconds)))
            complaint = trial.find_fault(EVERY) if code else None
        if code and not complaint:
            code, _ = trial.begin()
            complaint = f"it ends with {code}" if code else None
        wrong.note(complaint or whole.compare(trial.output))
    return wrong


def main() -> int:
    """Kill, and print a line; or a line for each defence."""
    options = parse(__doc__ or "", count=200)
    weaknesses = WEAKNESSES if options.teeth else {"": stand}
    codes = [
        judge(name, "kills", partial(kill_many, count=options.count, weaken=weaken), options.count)
        for name, weaken in weaknesses.items()
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
