"""Measure how long the examination of images takes compared with only decoding them, on all cores.

    python tests/benchmarks/examine.py FOLDER [--count 10000] [--pairs 3]

The images of FOLDER are used again and again, with a different comment in each file, until there are --count of them.
The script fails if the examination takes more than 1.3 times as long at the median.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from zoo.data.cores import count_cores
from zoo.data.decode import decode_image
from zoo.data.examination.examine import examine_files
from zoo.data.examination.findings import list_findings
from zoo.data.listing import ImageFile
from zoo.progress import Silent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        files = write_photos(arguments.folder, Path(place), arguments.count)
        ratios = [measure(files, Path(place) / f"cache{number}") for number in range(arguments.pairs)]
    median = statistics.median(ratios)
    sys.stdout.write(f"{len(files):,} images: the examination takes {median:.2f} times as long as decoding\n")
    return int(median > 1.3)


def write_photos(folder: Path, root: Path, count: int) -> list[ImageFile]:
    """Write JPEGs that differ in a comment after their first marker."""
    photos = [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]
    files = []
    for number, data in enumerate(islice(cycle(photos), count)):
        comment = str(number).encode()
        name = f"{number}.jpg"
        (root / name).write_bytes(data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment + data[2:])
        files.append(ImageFile(root, name, "train", "photo", name))
    return files


def measure(files: list[ImageFile], cache: Path) -> float:
    """Return the ratio of both times."""
    started = time.perf_counter()
    with ThreadPoolExecutor(count_cores()) as pool:
        for _ in pool.map(lambda file: decode_image(file.path).shape, files):
            pass
    decoding = time.perf_counter() - started
    os.environ["ZOO_CACHE"] = str(cache)
    started = time.perf_counter()
    good, bad, traits = examine_files(files, {"photo": 0}, progress=Silent())
    list_findings(good, bad, ["photo"], traits)
    examining = time.perf_counter() - started
    sys.stdout.write(f"decoding {decoding:.1f} s, examination {examining:.1f} s, ratio {examining / decoding:.2f}\n")
    return examining / decoding


if __name__ == "__main__":
    sys.exit(main())
