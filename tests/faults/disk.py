"""Fill the disk at different points of saving and at several file sizes, and resume the runs.

    python tests/faults/disk.py [--count 20]

Prints the number of runs that failed without an error about the file and the free space, that lost a checkpoint, or
whose results differ from the reference run. Exits with 1 if there are any.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from begin import Failures, Reference, judge, parse, prepare
from toy import EVERY
from trial import Fault, Trial

#: Error message about a full disk, with the path of the file and the free space.
ERROR = re.compile(
    r"Error: \S+ cannot be (written|created|removed): .*(\d bytes are free there|No space left on device)"
)


def fill_many(folder: Path, count: int) -> Failures:
    """Fill the disk during 2 * ``count`` runs and resume the runs. Return the failures."""
    reference, failures = prepare(folder), Failures()
    points = [Fault(point=1 + number * reference.points // count, disk_is_full=True) for number in range(count)]
    largest = max(path.stat().st_size for path in (folder / "whole").iterdir())
    # The log of the process counts as a file, so the smallest size leaves room for it.
    sizes = [Fault(room=8192 + number * largest // count) for number in range(count)]
    for number, fault in enumerate(points + sizes):
        failures.note(_fill(reference, Trial(reference.photos, folder / f"run-{number}"), fault))
    return failures


def _fill(reference: Reference, trial: Trial, fault: Fault) -> str | None:
    code, _ = trial.begin(fault)
    log = trial.output.with_name(f"{trial.output.name}-log").read_text()
    if code not in (0, 1) or "Traceback" in log:
        return f"exit code {code}: {log[-300:]}"
    if code and not ERROR.search(log):
        return f"unexpected error: {log.splitlines()[-1][-200:]}"
    failure = trial.find_failure(EVERY) if code else None
    if code and not failure:
        code, _ = trial.begin()
        failure = f"exit code {code} after resuming" if code else None
    return failure or reference.compare(trial.output)


def main() -> int:
    options = parse(__doc__ or "", count=20)
    return judge("", "full disks", lambda folder: fill_many(folder, options.count), 2 * options.count)


if __name__ == "__main__":
    sys.exit(main())
