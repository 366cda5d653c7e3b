"""Kill one of two processes that share a run, and resume the run.

    python tests/faults/ranks.py [--count 20]

In half of the runs, the first process is killed, which writes the run folder. Prints the number of runs that failed:
the other process kept running for more than thirty seconds or did not report which process died, a file was unreadable,
too many steps were lost, or the results differ from the reference run. If the first process survives, no step may be
lost; otherwise, no more than are between two checkpoints. Also prints the longest time that the other process took to
stop. Exits with 1 if there are any failures.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from begin import Failures, Reference, judge, parse
from toy import EVERY, describe, generate, run
from trial import Counter, Trial

from worlds import Ended, in_world

SIZE = 2
LONGEST = 30.0


def begin(trial: Trial, victim: int | None = None, seconds: float = 0.0) -> tuple[list[Ended], float]:
    """Start or resume the run in two processes, and kill one of them after some seconds.

    Returns:
        How each process ended, and the seconds from the start to the kill.
    """
    killed = [float("inf")]

    def work(rank: int) -> None:
        with trial.output.with_name(f"{trial.output.name}-log-{rank}").open("w") as log:
            os.dup2(log.fileno(), sys.stdout.fileno())
            os.dup2(log.fileno(), sys.stderr.fileno())
            run(trial.photos, trial.output, trial.steps.set)

    def kill(children: list[int]) -> None:
        if victim is None:
            return
        began, mark = time.monotonic(), trial.output / "checkpoints" / "begun.json"
        while not mark.exists():
            time.sleep(0.001)
        time.sleep(seconds)
        killed[0] = time.monotonic() - began
        os.kill(children[victim], signal.SIGKILL)

    return in_world(SIZE, work, at_work=kill), killed[0]


def kill_many(folder: Path, count: int) -> Failures:
    """Kill and resume ``count`` runs. Return the failures."""
    generate(folder / "photos")
    uninterrupted, started = Trial(folder / "photos", folder / "whole"), time.perf_counter()
    if any(ended.code for ended in begin(uninterrupted)[0]):
        logs = [path.read_text() for path in folder.glob("whole-log-*")]
        sys.exit(f"the reference run failed: {logs}")
    seconds = time.perf_counter() - started
    reference = Reference(folder / "photos", seconds, 0, describe(folder / "whole"))
    rng, failures, longest = random.Random(0), Failures(), 0.0
    for number in range(count):
        trial, victim = Trial(reference.photos, folder / f"run-{number}", steps=Counter()), number % SIZE
        ended, killed = begin(trial, victim, rng.uniform(0, seconds / 2))
        survivor = ended[1 - victim]
        if ended[victim].code == -signal.SIGKILL and survivor.code:
            longest = max(longest, survivor.seconds - killed)
            log = trial.output.with_name(f"{trial.output.name}-log-{1 - victim}").read_text()
            failure = _find_failure(trial, victim, log, survivor.seconds - killed)
            if not failure and (codes := [each.code for each in begin(trial)[0]]) != [0] * SIZE:
                failure = f"exit codes {codes} after resuming"
        else:  # the run was already finished
            failure = None if survivor.code == 0 else f"exit code {survivor.code} of the other process"
            begin(trial)
        failures.note(failure or reference.compare(trial.output))
    sys.stdout.write(f"the other process took up to {longest:.2f} s to stop\n")
    return failures


def _find_failure(trial: Trial, victim: int, log: str, seconds: float) -> str | None:
    if seconds > LONGEST:
        return "the other process took too long to stop"
    if f"rank {victim}" not in log:
        return f"the other process did not report which process died: {log.splitlines()[-1:]}"
    return trial.find_failure(0 if victim else EVERY)


def main() -> int:
    """Kill processes and print a summary."""
    options = parse(__doc__ or "", count=20)
    return judge("", "kills of a rank", lambda folder: kill_many(folder, options.count), options.count)


if __name__ == "__main__":
    sys.exit(main())
