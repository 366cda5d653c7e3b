"""Change image files at random, and decode them as zoo does.

    python tests/faults/hostile_images.py [--count 10000] [--first 0] [--teeth]

Prints the number of files of each kind, the longest CPU time, the largest growth of the peak memory, and the failures.
A file is a failure if it leads to any exception but zoo's DataError, or if decoding it takes more than 2 seconds or
100 MB. The budget for decoding is 64 MiB, so larger images must be refused by their headers. Exits with 1 if there are
any failures. With ``--teeth``, disables each protection in turn, and exits with 1 if this causes no failures. Needs
Linux, where a process can reset its peak memory.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

sys.path[:0] = [str(Path(__file__).parents[1] / "props")]

from changed_images import decode_changed, make_samples  # noqa: E402  # after the path is set
from peak_memory import read_peak, reset_peak  # noqa: E402  # the same
from zoo.data import decoding_memory  # noqa: E402  # the same

#: Limits of each file, in seconds and bytes.
SECONDS, GROWTH = 2.0, 100 * 10**6
#: Budget for decoding in bytes.
BUDGET = 64 * 2**20
#: Protections by name: what is replaced, and with what.
PROTECTIONS = {
    "limits": ("zoo.data.decode.estimate_memory", lambda *_, **__: 0),
    "errors": ("zoo.data.decode._explained", lambda _: nullcontext()),
}


@dataclass
class Tally:
    """What decoding the files of one kind took at most."""

    count: int = 0
    seconds: float = 0.0
    growth: int = 0


def decode_many(first: int, count: int) -> tuple[dict[str, Tally], list[str]]:
    """Change and decode files, each kind in turn. Return the tallies by kind, and the failures."""
    kinds, failures = [*make_samples()], list[str]()
    tallies = {kind: Tally() for kind in kinds}
    for kind in kinds:  # What is imported or allocated only once does not count.
        decode_changed(kind, first)
    for number in range(first, first + count):
        kind = kinds[number % len(kinds)]
        decoding_memory._return_freed()  # Memory that an earlier image left behind would hide the growth.
        before, start = reset_peak(), time.process_time()
        failure = decode_changed(kind, number)
        seconds, growth = time.process_time() - start, read_peak() - before
        if failure is None and (seconds > SECONDS or growth > GROWTH):
            failure = f"{kind} {number}: {seconds:.2f} s, {growth / 10**6:.0f} MB"
        failures += [failure] if failure else []
        tally = tallies[kind]
        tally.count += 1
        tally.seconds, tally.growth = max(tally.seconds, seconds), max(tally.growth, growth)
    return tallies, failures


def _test_teeth(name: str, count: int) -> int:
    """Decode files without a protection, and return 1 if this causes no failures."""
    with patch(*PROTECTIONS[name]):
        _, failures = decode_many(0, count)
    sys.stdout.write(f"without {name}: {len(failures)} of {count:,} files caused a failure\n")
    return int(not failures)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="number of files")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first file")
    parser.add_argument("--teeth", action="store_true", help="disable each protection in turn, and expect failures")
    options = parser.parse_args()
    faulthandler.enable()
    os.environ["ZOO_MAX_DECODING_BYTES"] = str(BUDGET)
    if options.teeth:
        return max(_test_teeth(name, options.count) for name in PROTECTIONS)
    tallies, failures = decode_many(options.first, options.count)
    for kind, tally in tallies.items():
        sys.stdout.write(
            f"{tally.count:6,} {kind:18} at most {tally.seconds:.3f} s and {tally.growth / 10**6:.1f} MB each\n"
        )
    sys.stdout.write("".join(f"{failure}\n" for failure in failures))
    sys.stdout.write(f"{len(failures)} of {options.count:,} files caused a failure\n")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
