"""Change model headers, models, run.json, checkpoints and registry.toml at random, and read them as zoo does.

    python tests/faults/hostile_files.py [--count 20000] [--first 0] [--teeth]

Prints the number of files of each kind, the longest CPU time, the largest growth of the peak memory, and the failures.
A file is a failure if it leads to any exception but an error of zoo, if its values are accepted with wrong types, or if
reading it takes more than a second or 100 MB. Exits with 1 if there are any failures. With ``--teeth``, disables the
validation of each kind in turn, and exits with 1 if this causes no failures. Needs Linux, where a process can reset its
peak memory.
"""

from __future__ import annotations

import argparse
import faulthandler
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

sys.path[:0] = [str(Path(__file__).parents[1] / "props")]

from changed_files import READERS, VALIDATIONS, find_failure, find_failures  # noqa: E402  # after the path is set

#: Limits of each file, in seconds and bytes.
SECONDS, GROWTH = 1.0, 100 * 10**6


@dataclass
class Tally:
    """What reading the files of one kind took at most."""

    count: int = 0
    seconds: float = 0.0
    growth: int = 0


def read_many(folder: Path, first: int, count: int) -> tuple[dict[str, Tally], list[str]]:
    """Change and read files, each kind in turn. Return the tallies by kind, and the failures."""
    kinds, failures = [*READERS], list[str]()
    tallies = {kind: Tally() for kind in kinds}
    for kind in kinds:  # what is imported or allocated only once does not count
        find_failure(kind, folder, first)
    for number in range(first, first + count):
        kind = kinds[number % len(kinds)]
        before, start = _reset_peak(), time.process_time()
        failure = find_failure(kind, folder, number // len(kinds))
        seconds, growth = time.process_time() - start, _read_memory("VmHWM") - before
        if failure is None and (seconds > SECONDS or growth > GROWTH):
            failure = f"{kind} {number // len(kinds)}: {seconds:.2f} s, {growth / 10**6:.0f} MB"
        failures += [failure] if failure else []
        tally = tallies[kind]
        tally.count += 1
        tally.seconds, tally.growth = max(tally.seconds, seconds), max(tally.growth, growth)
    return tallies, failures


def _reset_peak() -> int:
    """Set the peak memory of this process to the memory in use, and return it in bytes."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _read_memory("VmHWM")


def _read_memory(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return 1024 * int(found[1])


def _test_teeth(kind: str, folder: Path, count: int) -> int:
    """Read files of a kind without its validation, and return 1 if this causes no failures."""
    with patch(VALIDATIONS[kind], lambda value, _kind: value):
        failures = [*find_failures(kind, folder, range(count))]
    sys.stdout.write(f"without validation: {len(failures)} of {count:,} {kind} files caused a failure\n")
    return int(not failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, metavar="N", help="number of files")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first file")
    parser.add_argument("--teeth", action="store_true", help="disable each validation in turn, and expect failures")
    options = parser.parse_args()
    faulthandler.enable()
    with TemporaryDirectory() as folder:
        if options.teeth:
            return max(_test_teeth(kind, Path(folder), options.count // len(READERS)) for kind in READERS)
        tallies, failures = read_many(Path(folder), options.first, options.count)
    for kind, tally in tallies.items():
        sys.stdout.write(
            f"{tally.count:6,} {kind:14} at most {tally.seconds:.3f} s and {tally.growth / 10**6:.1f} MB each\n"
        )
    sys.stdout.write("".join(f"{failure}\n" for failure in failures))
    sys.stdout.write(f"{len(failures)} of {options.count:,} files caused a failure\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
