"""Interrupt runs with SIGTERM and SIGINT at random times, and resume them.

    python tests/faults/signals.py [--count 100]

Half of the signals go to the process and half to its process group. Half of the runs load images in threads. Prints the
number of runs that lost a step, exited with a code other than 130 or 143, took more than ten seconds to exit, or whose
results differ from the reference run. Also prints the longest time to exit. Exits with 1 if there are any failures.
"""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

from begin import Failures, judge, parse, prepare
from trial import NEVER, Fault, Trial

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LONGEST = 10.0


def end_many(folder: Path, count: int) -> Failures:
    """Interrupt and resume ``count`` runs. Return the failures."""
    reference = prepare(folder)
    rng, failures, longest = random.Random(0), Failures(), 0.0
    for number in range(count):
        fault = Fault(rng.uniform(0, reference.seconds), list(CODES)[number % 2], to_group=number // 2 % 2 == 1)
        trial = Trial(reference.photos, folder / f"run-{number}", options={"workers": 2 * (number // 4 % 2)})
        code, seconds = trial.begin(fault)
        longest = max(longest, seconds)
        failure = _find_failure(trial, fault, code, seconds)
        if code and not failure:
            code, _ = trial.begin()
            failure = f"exit code {code} after resuming" if code else None
        failures.note(failure or reference.compare(trial.output))
    sys.stdout.write(f"the runs took up to {longest:.2f} s to exit\n")
    return failures


def _find_failure(trial: Trial, fault: Fault, code: int, seconds: float) -> str | None:
    if code in (0, NEVER):
        return None  # the run was already finished, or had not started
    if code not in (CODES[fault.signal], -fault.signal):  # the second one before the command line handles the signal
        return f"exit code {code} after {fault.signal.name}"
    if code == -fault.signal and trial.steps.value:
        return f"the command line did not handle {fault.signal.name} although training had begun"
    return "the run took too long to exit" if seconds > LONGEST else trial.find_failure(0)


def main() -> int:
    options = parse(__doc__ or "", count=100)
    return judge("", "signals", lambda folder: end_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
