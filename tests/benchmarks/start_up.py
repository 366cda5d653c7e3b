"""Measure the time of ``zoo --help`` and ``zoo list``, including with thousands of additional backbones.

    python tests/benchmarks/start_up.py [RUNS]

Alternates the commands, so that a temporary slowdown of the machine affects all of them. The first round, in which
Python writes its bytecode caches, does not count.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

#: Source of a plugin whose backbones have a dozen blocks each. Every OWN-th backbone has its own copies of the blocks;
#: all others share theirs.
PLUGIN = """
from zoo.plugin import BackboneSpec, BlockSpec, WeightsSpec, hookimpl

ZOO_API = 1


def blocks(depth):
    return tuple(BlockSpec(f"block{place}", (f"blocks.{place}",)) for place in range(depth))


@hookimpl
def zoo_backbones():
    shared = blocks(12)
    for number in range(COUNT):
        yield BackboneSpec(
            name=f"many/net{number}",
            family=f"family{number % 50}",
            build=print,
            head=("fc",),
            blocks=shared if number % OWN else blocks(12),
            params=1_000_000 + number,
            license="Apache-2.0",
            weights=(WeightsSpec(tag="v1", url=f"https://example.org/{number}.safetensors", license="MIT"),),
            upstream="many==1.0",
            constructor=f"many.net{number}(num_classes={{num_classes}})",
            supports=("image_sizes", "bf16"),
        )
"""


def install(folder: Path, count: int, own: int = 6) -> Path:
    """Install the plugin with ``count`` backbones in a folder. As in timm, one backbone in six has its own blocks."""
    site = folder / f"{count}-{own}"
    info = site / "zoo_many-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-many\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[zoo]\nmany = zoo_many\n", encoding="utf-8")
    (site / "zoo_many.py").write_text(PLUGIN.replace("COUNT", str(count)).replace("OWN", str(own)), encoding="utf-8")
    return site


def find_script() -> str:
    """Return the command that a user runs, or ``python -m zoo`` if the script is not installed."""
    script = Path(sysconfig.get_path("scripts"), "zoo")
    return str(script) if script.exists() else "zoo"


def measure(arguments: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a process and return its wall-clock and CPU time in seconds.

    The process runs without a timeout. With one, Python would check only every 50 ms whether it has ended.
    """
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([find_script(), *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main(runs: int = 21) -> None:
    """Measure and print the medians."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "PYTHONDONTWRITE"))}
    with TemporaryDirectory() as folder:
        cases = {"zoo --help": (["--help"], clean), "zoo list": (["list"], clean)}
        for name, count, own in (
            ("1,000 more", 1_000, 6),
            ("10,000 more", 10_000, 6),
            ("10,000 more with separate blocks", 10_000, 1),
        ):
            path = os.pathsep.join(filter(None, (str(install(Path(folder), count, own)), clean.get("PYTHONPATH"))))
            cases[f"zoo list, with {name}"] = ["list"], {**clean, "PYTHONPATH": path}
            if own != 1:
                alone = {**clean, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "many"}
                cases[f"zoo list, with {count:,} alone"] = ["list"], alone
        turns = [[measure(*case) for case in cases.values()] for _ in range(runs + 1)][1:]
    for name, measured in zip(cases, zip(*turns, strict=True), strict=True):
        clock, busy = (statistics.median(values) * 1000 for values in zip(*measured, strict=True))
        sys.stdout.write(f"{name:47} {clock:6.0f} ms wall-clock time, {busy:6.0f} ms CPU time\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
