"""Lets the disk be full: at each point of saving once, and at several sizes of files; and takes the runs up again.

    python tests/faults/disk.py [--count 20]

Prints how many ended otherwise than with an error that names the file and what is free, lost a state that was there, or
came to another end than the run that nobody disturbed. Exits with 1 where any did.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from begin import Whole, Wrong, judge, parse, prepare
from toy import EVERY
from trial import Fault, Trial

#: What is said: the file, and what is free.
ERROR = re.compile(
    r"Error: \S+ cannot be (written|created|removed): .*(\d bytes are free there|No space left on device)"
)


def fill_many(folder: Path, count: int) -> Wrong:
    """Return what went wrong, and how often."""
    whole, wrong = prepare(folder), Wrong()
    points = [Fault(point=1 + number * whole.points // count, disk_is_full=True) for number in range(count)]
    largest = max(path.stat().st_size for path in (folder / "whole").iterdir())
    # What the process says is a file, too.
    sizes = [Fault(room=8192 + number * largest // count) for number in range(count)]
    for number, fault in enumerate(points + sizes):
        wrong.note(_fill(whole, Trial(whole.photos, folder / f"run-{number}"), fault))
    return wrong


def _fill(whole: Whole, trial: Trial, fault: Fault) -> str | None:
    code, _ = trial.begin(fault)
    said = trial.output.with_name(f"{trial.output.name}-said").read_text()
    if code not in (0, 1) or "Traceback" in said:
        return f"it ends with {code}: {said[-300:]}"
    if code and not ERROR.search(said):
        return f"it says {said.splitlines()[-1][-200:]}"
    complaint = trial.find_fault(EVERY) if code else None
    if code and not complaint:
        code, _ = trial.begin()
        complaint = f"it ends with {code}" if code else None
    return complaint or whole.compare(trial.output)


def main() -> int:
    options = parse(__doc__ or "", count=20)
    return judge("", "full disks", lambda folder: fill_many(folder, options.count), 2 * options.count)


if __name__ == "__main__":
    sys.exit(main())
