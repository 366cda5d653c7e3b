"""Kills one of two processes that share a run, and resumes the run.

    python tests/faults/ranks.py [--count 20]

Half of the kills hit the first process, which writes the run folder. Prints how many left the other process running for
more than thirty seconds, did not name the lost process, left an unreadable checkpoint, lost more than one interval (or
anything, if the first process survived), or ended differently from the reference run. Also prints the longest time.
Exits with 1 after any failure.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from begin import Failures, Reference, judge, parse
from toy import EVERY, describe, draw, run
from trial import Counter, Trial

from worlds import Ended, in_world

SIZE = 2
LONGEST = 30.0


def begin(trial: Trial, victim: int | None = None, seconds: float = 0.0) -> tuple[list[Ended], float]:
    """Start or resume the run in two processes and kill one after some seconds. Return the time of the kill."""
    killed = [float("inf")]

    def work(rank: int) -> None:
        with trial.output.with_name(f"{trial.output.name}-said-{rank}").open("w") as said:
            os.dup2(said.fileno(), sys.stdout.fileno())
            os.dup2(said.fileno(), sys.stderr.fileno())
            run(trial.photos, trial.output, trial.steps.set)

    def kill(children: list[int]) -> None:
        if victim is None:
            return
        began, mark = time.monotonic(), trial.output / "checkpoints" / "begun.json"
        while not mark.exists():
            time.sleep(0.001)  # until the run folder exists
        time.sleep(seconds)
        killed[0] = time.monotonic() - began
        os.kill(children[victim], signal.SIGKILL)

    return in_world(SIZE, work, at_work=kill), killed[0]


def kill_many(folder: Path, count: int) -> Failures:
    """Return the failures and their number."""
    draw(folder / "photos")
    undisturbed, started = Trial(folder / "photos", folder / "whole"), time.perf_counter()
    if any(ended.code for ended in begin(undisturbed)[0]):
        said = [path.read_text() for path in folder.glob("whole-said-*")]
        sys.exit(f"the reference run fails: {said}")
    seconds = time.perf_counter() - started
    reference = Reference(folder / "photos", seconds, 0, describe(folder / "whole"))
    chance, failures, longest = random.Random(0), Failures(), 0.0
    for number in range(count):
        trial, victim = Trial(reference.photos, folder / f"run-{number}", steps=Counter()), number % SIZE
        ended, killed = begin(trial, victim, chance.uniform(0, seconds / 2))
        survivor = ended[1 - victim]
        if ended[victim].code == -signal.SIGKILL and survivor.code:
            longest = max(longest, survivor.seconds - killed)
            said = trial.output.with_name(f"{trial.output.name}-said-{1 - victim}").read_text()
            complaint = _find_fault(trial, victim, said, survivor.seconds - killed)
            if not complaint and (codes := [each.code for each in begin(trial)[0]]) != [0] * SIZE:
                complaint = f"the resumed processes end with {codes}"
        else:  # the run was already finished
            complaint = None if survivor.code == 0 else f"the other process ends with {survivor.code}"
            begin(trial)
        failures.note(complaint or reference.compare(trial.output))
    sys.stdout.write(f"the longest took {longest:.2f} s\n")
    return failures


def _find_fault(trial: Trial, victim: int, said: str, seconds: float) -> str | None:
    if seconds > LONGEST:
        return "the other process does not end"
    if f"rank {victim}" not in said:
        return f"the other process does not name it: {said.splitlines()[-1:]}"
    return trial.find_fault(0 if victim else EVERY)


def main() -> int:
    """Kill processes and print a summary."""
    options = parse(__doc__ or "", count=20)
    return judge("", "kills of a rank", lambda folder: kill_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
