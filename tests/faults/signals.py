"""Ends runs with SIGTERM and SIGINT at random times, and resumes them.

    python tests/faults/signals.py [--count 100]

Half of each signal goes to the process, half to its group; half of the runs load images in threads. Prints how many
runs lost a step, ended with an exit code other than 130 or 143, took longer than ten seconds, or ended differently from
the reference run. Also prints the longest time. Exits with 1 after any failure.
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
    """Return the failures and their number."""
    reference = prepare(folder)
    chance, failures, longest = random.Random(0), Failures(), 0.0
    for number in range(count):
        fault = Fault(chance.uniform(0, reference.seconds), list(CODES)[number % 2], to_group=number // 2 % 2 == 1)
        trial = Trial(reference.photos, folder / f"run-{number}", options={"workers": 2 * (number // 4 % 2)})
        code, seconds = trial.begin(fault)
        longest = max(longest, seconds)
        complaint = _find_fault(trial, fault, code, seconds)
        if code and not complaint:
            code, _ = trial.begin()
            complaint = f"it ends with {code}" if code else None
        failures.note(complaint or reference.compare(trial.output))
    sys.stdout.write(f"the longest took {longest:.2f} s\n")
    return failures


def _find_fault(trial: Trial, fault: Fault, code: int, seconds: float) -> str | None:
    if code in (0, NEVER):
        return None  # the run was already finished, or had not started
    if code not in (CODES[fault.signal], -fault.signal):  # minus the signal before the command line handles it
        return f"{fault.signal.name} ends it with {code}"
    if code == -fault.signal and trial.steps.value:
        return f"{fault.signal.name} ends it after a step without the command line"
    return "it takes too long to end" if seconds > LONGEST else trial.find_fault(0)


def main() -> int:
    options = parse(__doc__ or "", count=100)
    return judge("", "signals", lambda folder: end_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
