"""Kill runs with SIGKILL, half of them at random times and half of them while they save, and resume them.

    python tests/faults/kills.py [--count 200] [--teeth]

Prints the number of runs that left an unreadable file, that lost more steps than are between two checkpoints, or whose
results differ from the reference run. The model and the last checkpoint are compared by SHA-256. Exits with 1 if there
are any failures. With ``--teeth``, disables each safeguard in turn, and exits with 1 if a disabled safeguard causes no
failures.
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

from begin import Failures, judge, parse, prepare
from teeth import WEAKNESSES
from toy import EVERY
from trial import Fault, Trial, Weakness, keep_safeguards


def kill_many(folder: Path, count: int, weaken: Weakness) -> Failures:
    """Kill and resume ``count`` runs. Return the failures."""
    reference = prepare(folder, weaken)
    rng, failures = random.Random(0), Failures()
    for number in range(count):
        # Every second kill is at a point of saving. These points are spread evenly over the run.
        point = Fault(point=1 + (number // 2) * reference.points // max(1, count // 2))
        fault = Fault(rng.uniform(0, reference.seconds)) if number % 2 else point
        trial = Trial(reference.photos, folder / f"run-{number}", weaken)
        code, _ = trial.begin(fault)
        # If the run is killed while it writes a checkpoint, the steps since the previous checkpoint may be lost.
        failure = trial.find_failure(EVERY) if code else None
        if code and not failure and number % 3 == 0:  # kill the run again after it has resumed
            code, _ = trial.begin(Fault(rng.uniform(0, reference.seconds)))
            failure = trial.find_failure(EVERY) if code else None
        if code and not failure:
            code, _ = trial.begin()
            failure = f"exit code {code} after resuming" if code else None
        failures.note(failure or reference.compare(trial.output))
    return failures


def main() -> int:
    """Kill runs and print a summary, or with ``--teeth`` a summary for each disabled safeguard."""
    options = parse(__doc__ or "", count=200)
    weaknesses = WEAKNESSES if options.teeth else {"": keep_safeguards}
    codes = [
        judge(name, "kills", partial(kill_many, count=options.count, weaken=weaken), options.count)
        for name, weaken in weaknesses.items()
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
