"""Kills one of two processes that share a run, and takes the run up again.

    python tests/faults/ranks.py [--count 20]

Half of the kills hit the first process, which keeps the record. Prints how many left the other one behind for more than
thirty seconds or without the name of the one that was lost, left a state that cannot be read, lost more than one
interval (nothing where the first process survived), or came to another end than the run that nobody disturbed; and the
longest time. Exits with 1 where any did.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from begin import Whole, Wrong, judge, parse
from toy import EVERY, describe, draw, run
from trial import Counter, Trial

from worlds import Ended, in_world

SIZE = 2
LONGEST = 30.0


def begin(trial: Trial, victim: int | None = None, seconds: float = 0.0) -> tuple[list[Ended], float]:
    """Begin the run in two processes or go on with it; so many seconds after that kill one. Returns when that was."""
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
            time.sleep(0.001)  # until there is a run
        time.sleep(seconds)
        killed[0] = time.monotonic() - began
        os.kill(children[victim], signal.SIGKILL)

    return in_world(SIZE, work, at_work=kill), killed[0]


def kill_many(folder: Path, count: int) -> Wrong:
    """Return what went wrong, and how often."""
    draw(folder / "photos")
    undisturbed, started = Trial(folder / "photos", folder / "whole"), time.perf_counter()
    if any(ended.code for ended in begin(undisturbed)[0]):
        said = [path.read_text() for path in folder.glob("whole-said-*")]
        sys.exit(f"the run that nobody disturbs fails: {said}")
    seconds = time.perf_counter() - started
    whole = Whole(folder / "photos", seconds, 0, describe(folder / "whole"))
    chance, wrong, longest = random.Random(0), Wrong(), 0.0
    for number in range(count):
        trial, victim = Trial(whole.photos, folder / f"run-{number}", steps=Counter()), number % SIZE
        ended, killed = begin(trial, victim, chance.uniform(0, seconds / 2))
        survivor = ended[1 - victim]
        if ended[victim].code == -signal.SIGKILL and survivor.code:
            longest = max(longest, survivor.seconds - killed)
            said = trial.output.with_name(f"{trial.output.name}-said-{1 - victim}").read_text()
            complaint = _find_fault(trial, victim, said, survivor.seconds - killed)
            if not complaint and (codes := [each.code for each in begin(trial)[0]]) != [0] * SIZE:
                complaint = f"taken up again they end with {codes}"
        else:  # it was over
            complaint = None if survivor.code == 0 else f"the other ends with {survivor.code}"
            begin(trial)
        wrong.note(complaint or whole.compare(trial.output))
    sys.stdout.write(f"the longest took {longest:.2f} s\n")
    return wrong


def _find_fault(trial: Trial, victim: int, said: str, seconds: float) -> str | None:
    if seconds > LONGEST:
        return "the other stays"
    if f"rank {victim}" not in said:
        return f"the other does not name it: {said.splitlines()[-1:]}"
    return trial.find_fault(0 if victim else EVERY)


def main() -> int:
    """Kill, and print a line."""
    options = parse(__doc__ or "", count=20)
    return judge("", "kills of a rank", lambda folder: kill_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
