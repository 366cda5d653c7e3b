"""Fills the disk at each point of saving and at several file sizes, and resumes the runs.

    python tests/faults/disk.py [--count 20]

Prints how many runs did not end with an error that names the file and the free space, lost a checkpoint, or ended
differently from the reference run. Exits with 1 if any did.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from begin import Failures, Reference, judge, parse, prepare
from toy import EVERY
from trial import Fault, Trial

#: The error message, with the file and the free space.
ERROR = re.compile(
    r"Error: \S+ cannot be (written|created|removed): .*(\d bytes are free there|No space left on device)"
)


def fill_many(folder: Path, count: int) -> Failures:
    """Return the failures and their number."""
    reference, failures = prepare(folder), Failures()
    points = [Fault(point=1 + number * reference.points // count, disk_is_full=True) for number in range(count)]
    largest = max(path.stat().st_size for path in (folder / "whole").iterdir())
    # The output of the process is also written to a file.
    sizes = [Fault(room=8192 + number * largest // count) for number in range(count)]
    for number, fault in enumerate(points + sizes):
        failures.note(_fill(reference, Trial(reference.photos, folder / f"run-{number}"), fault))
    return failures


def _fill(reference: Reference, trial: Trial, fault: Fault) -> str | None:
    code, _ = trial.begin(fault)
    said = trial.output.with_name(f"{trial.output.name}-said").read_text()
    if code not in (0, 1) or "Traceback" in said:
        return f"it ends with {code}: {said[-300:]}"
    if code and not ERROR.search(said):
        return f"it prints {said.splitlines()[-1][-200:]}"
    complaint = trial.find_fault(EVERY) if code else None
    if code and not complaint:
        code, _ = trial.begin()
        complaint = f"it ends with {code}" if code else None
    return complaint or reference.compare(trial.output)


def main() -> int:
    options = parse(__doc__ or "", count=20)
    return judge("", "full disks", lambda folder: fill_many(folder, options.count), 2 * options.count)


if __name__ == "__main__":
    sys.exit(main())
