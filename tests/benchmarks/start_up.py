"""Measure the time of short commands.

    python tests/benchmarks/start_up.py [RUNS]
    python tests/benchmarks/start_up.py [RUNS] --data PHOTOS [--weights NAME=FILE ...] [--than ZOO]

The first form measures ``zoo --help`` and ``zoo list``, including with thousands of additional backbones. The second
one compares predicting one image with importing torch and timm, and measures training a head with an empty cache and on
cached features. ``--than`` is the ``zoo`` script of another version, such as ``../other/.venv/bin/zoo``, with which
these commands are compared. It reads the runs that this version wrote; ``--only finetune`` leaves them out.

Alternates the commands, so that a temporary slowdown of the machine affects all of them. The first round, in which
Python writes its bytecode caches and zoo its features, does not count.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
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


def measure(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a process and return its wall-clock and CPU time in seconds.

    The process runs without a timeout. With one, Python would check only every 50 ms whether it has ended.
    """
    used, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def clean_environment() -> dict[str, str]:
    """Return the environment variables without zoo's settings. Python writes its bytecode caches."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "PYTHONDONTWRITE"))}


def measure_listing(runs: int) -> None:
    """Measure the commands that do not import torch, and print the medians."""
    clean, zoo = clean_environment(), find_script()
    with TemporaryDirectory() as folder:
        cases = {"zoo --help": ([zoo, "--help"], clean), "zoo list": ([zoo, "list"], clean)}
        for name, count, own in (
            ("1,000 more", 1_000, 6),
            ("10,000 more", 10_000, 6),
            ("10,000 more with separate blocks", 10_000, 1),
        ):
            path = os.pathsep.join(filter(None, (str(install(Path(folder), count, own)), clean.get("PYTHONPATH"))))
            cases[f"zoo list, with {name}"] = [zoo, "list"], {**clean, "PYTHONPATH": path}
            if own != 1:
                alone = {**clean, "PYTHONPATH": path, "ZOO_LOAD_PLUGINS": "many"}
                cases[f"zoo list, with {count:,} alone"] = [zoo, "list"], alone
        turns = [[measure(*case) for case in cases.values()] for _ in range(runs + 1)][1:]
    for name, measured in zip(cases, zip(*turns, strict=True), strict=True):
        clock, busy = (statistics.median(values) * 1000 for values in zip(*measured, strict=True))
        sys.stdout.write(f"{name:47} {clock:6.0f} ms wall-clock time, {busy:6.0f} ms CPU time\n")


#: Wall-clock and CPU time in seconds, by the script or "python", and the case or the imported modules.
Times = Mapping[tuple[str, str], tuple[float, float]]


class ShortRuns:
    """Commands that import torch: predictions, and runs that train a head."""

    #: Names of backbones, and what the prediction with each is compared with.
    BACKBONES: Mapping[str, str] = {"tiny": "torch", "timm/mobilenetv2_100": "torch, timm", "mobilenet_v2": "torch"}

    def __init__(self, folder: Path, data: Path, weights: Mapping[str, str], only: str | None) -> None:
        self._folder = folder
        self._data = data.resolve()
        self._weights = weights
        self._only = only
        (self._image, *_) = sorted(self._data.rglob("*.jpg"))
        self._count = 0

    def run(self, zoo: str, name: str) -> tuple[float, float]:
        """Run a command of a script by the name of the case, and return its times."""
        cache = self._folder / f"cache-{zoo.replace(os.sep, '-')}"
        if name == "finetune, empty cache":
            shutil.rmtree(cache, ignore_errors=True)
        if name.startswith("finetune"):
            self._count += 1
            command = self.finetune(zoo, "mobilenet_v2", f"run-{self._count}", epochs=10)
        else:
            command = [zoo, "predict", str(self._find_run(name.removeprefix("predict, "))), str(self._image)]
        return measure(command, {**clean_environment(), "ZOO_CACHE": str(cache)})

    def list_cases(self) -> list[str]:
        """List the names of the cases. The second run finds the features of the first one."""
        cases = [*(f"predict, {name}" for name in self.BACKBONES), "finetune, empty cache", "finetune, cached features"]
        return [case for case in cases if not self._only or case.startswith(self._only)]

    def prepare(self) -> None:
        """Train the runs that predict."""
        for name in self.BACKBONES:
            environment = {**clean_environment(), "ZOO_CACHE": str(self._folder / "cache")}
            measure(self.finetune(find_script(), name, self._find_run(name).name, epochs=1), environment)

    def finetune(self, zoo: str, backbone: str, run: str, epochs: int) -> list[str]:
        """Return a command that trains a head."""
        weights = ["--weights", self._weights[backbone]] if backbone in self._weights else []
        output = ["--output", str(self._folder / run), "--epochs", str(epochs), "--device", "cpu"]
        return [zoo, "finetune", backbone, "--data", str(self._data), *weights, *output]

    def _find_run(self, backbone: str) -> Path:
        return self._folder / f"predict-{backbone.replace('/', '-')}"


def measure_short_runs(runs: int, short: ShortRuns, than: str | None) -> None:
    """Measure the commands that import torch, and print the medians of the ratios of each round."""
    zoo = find_script()
    short.prepare()
    rounds: list[Times] = []
    for number in range(runs + 1):
        times = {}
        for case in short.list_cases():
            for script in filter(None, (zoo, than) if number % 2 else (than, zoo)):
                times[script, case] = short.run(script, case)
        for modules in set(short.BACKBONES.values()):
            times["python", modules] = measure([sys.executable, "-c", f"import {modules}"], clean_environment())
        rounds.append(times)
        sys.stderr.write(f"round {number} of {runs}\n")
    for case in short.list_cases():
        imported = short.BACKBONES.get(case.removeprefix("predict, "))
        if imported:
            print_ratios(f"{case}, compared with import {imported}", rounds[1:], (zoo, case), ("python", imported))
        if than:
            print_ratios(f"{case}, compared with the other version", rounds[1:], (zoo, case), (than, case))


def print_ratios(title: str, rounds: Sequence[Times], ours: tuple[str, str], other: tuple[str, str]) -> None:
    """Print the median, the lowest and the highest ratio of the CPU time and of the wall-clock time."""
    shown = []
    for place, unit in ((1, "CPU"), (0, "wall-clock")):
        ratios = [times[ours][place] / times[other][place] for times in rounds]
        seconds = statistics.median(times[ours][place] for times in rounds)
        middle = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown.append(f"{middle} of its {unit} time ({seconds:.1f} s)")
    sys.stdout.write(f"zoo {title}: {', '.join(shown)}\n")
    sys.stdout.flush()


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="?", type=int, default=21)
    parser.add_argument("--data", type=Path, help="folder with train/ and val/")
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME=FILE")
    parser.add_argument("--than", metavar="ZOO", help="the zoo script of another version")
    parser.add_argument("--only", choices=("predict", "finetune"))
    options = parser.parse_args()
    if not options.data:
        measure_listing(options.runs)
        return
    weights = {name: str(Path(file).resolve()) for name, _, file in (text.partition("=") for text in options.weights)}
    with TemporaryDirectory() as folder:
        short = ShortRuns(Path(folder), options.data, weights, options.only)
        measure_short_runs(options.runs, short, options.than)


if __name__ == "__main__":
    main()
