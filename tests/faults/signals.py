"""Ends runs with SIGTERM and SIGINT at random times, and takes them up again.

    python tests/faults/signals.py [--count 100]

Half of each signal goes to the process, half to its group; half of the runs load images by threads. Prints how many
lost a step, ended with another code than 130 or 143, took longer than ten seconds, or came to another end than the run
that nobody disturbed; and the longest time. Exits with 1 where any did.
"""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path

from begin import Wrong, judge, parse, prepare
from trial import NEVER, Fault, Trial

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LONGEST = 10.0


def end_many(folder: Path, count: int) -> Wrong:
    """Return what went wrong, and how often."""
    whole = prepare(folder)
    chance, wrong, longest = random.Random(0), Wrong(), 0.0
    for number in range(count):
        fault = Fault(chance.uniform(0, whole.seconds), list(CODES)[number % 2], to_group=number // 2 % 2 == 1)
        trial = Trial(whole.photos, folder / f"run-{number}", options={"workers": 2 * (number // 4 % 2)})
        code, seconds = trial.begin(fault)
        longest = max(longest, seconds)
        complaint = _find_fault(trial, fault, code, seconds)
        if code and not complaint:
            code, _ = trial.begin()
            complaint = f"it ends with {code}" if code else None
        wrong.note(complaint or whole.compare(trial.output))
    sys.stdout.write(f"the longest took {longest:.2f} s\n")
    return wrong


def _find_fault(trial: Trial, fault: Fault, code: int, seconds: float) -> str | None:
    if code in (0, NEVER):
        return None  # it was over, or had not begun
    if code not in (CODES[fault.signal], -fault.signal):  # the latter before the command line has begun
        return f"{fault.signal.name} ends it with {code}"
    if code == -fault.signal and trial.steps.value:
        return f"{fault.signal.name} tears it apart"
    return "it takes too long" if seconds > LONGEST else trial.find_fault(0)


def main() -> int:
    options = parse(__doc__ or "", count=100)
    return judge("", "signals", lambda folder: end_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
