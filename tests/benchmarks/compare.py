"""Compare zoo with its peers, and write docs/benchmarks.md.

python tests/benchmarks/compare.py --folder ../benchmarks --output docs/benchmarks.md
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from pathlib import Path
from typing import Any

from environment import build_environment, digest_code, list_versions, warm_up
from page import write_page
from pairs import Bench, check_settings, list_settings, read_lines, run_pairs
from photos import prepare
from sections import NOTHING_YET, RANKING, SHORT_RUNS, find_section, put_section
from workloads import PEERS, WORKLOADS


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="folder for peers, images and results, which are reused")
    add("--environment", type=Path, metavar="DIR", help="environment of the peers  [default: --folder/environment]")
    add("--output", type=Path, help="page to write  [default: print it]")
    add("--data", type=Path, help="folder with train/ and val/  [default: generate images]")
    add("--images", type=int, metavar="N", help="number of training images  [default: all, or 400 generated ones]")
    add("--weights", nargs="+", default=[], metavar="NAME=FILE", help="mobilenet_v2=... timm/mobilenetv2_100=...")
    add("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help="run only these workloads")
    add("--peers", nargs="+", choices=PEERS, help="run only these peers")
    add("--pairs", type=int, default=5, metavar="N", help="number of pairs with each peer")
    add("--epochs", type=int, metavar="N", help="number of epochs, for a trial  [default: depends on the workload]")
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--timm-train", type=Path, metavar="FILE", help="timm's train.py")
    return parser.parse_args()


def prepare_bench(options: argparse.Namespace) -> tuple[Bench, dict[str, Any]]:
    """Prepare the environment and the images, and check that earlier results were measured with the same settings."""
    folder: Path = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python = build_environment((options.environment or folder / "environment").resolve())
    images = prepare(folder / "images", options.data, options.images, python)
    bench = Bench(
        python=python,
        folder=folder / "figures",
        data=folder / "images",
        weights={name: Path(path).resolve() for name, _, path in (text.partition("=") for text in options.weights)},
        device=options.device,
        epochs=options.epochs,
        timm_train=options.timm_train and options.timm_train.resolve(),
    )
    bench.folder.mkdir(exist_ok=True)
    settings = list_settings(bench, images, list_versions(python), digest_code())
    settings["source"] = "real photos" if options.data else "synthetic JPEG images of 500 x 375 pixels"
    settings["machine"] = describe_machine(options.device)
    check_settings(bench.folder / "settings.json", settings)
    return bench, settings


def describe_machine(device: str) -> dict[str, str]:
    """Describe this machine."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    threads = os.environ.get("OMP_NUM_THREADS")
    limited = f", OMP_NUM_THREADS={threads}" if threads else ""
    return {
        "machine": f"{cpu}, {os.cpu_count()} cores, {platform.system()}, on {device}{limited}",
        "Python": platform.python_version(),
    }


def main() -> None:
    """Run the comparison, one workload after the other."""
    options = parse()
    bench, settings = prepare_bench(options)
    warm_up(bench.python, bench.folder)
    for name in options.only:
        workload = WORKLOADS[name]
        run_pairs(bench, workload, options.peers or workload.peers, options.pairs)
    results = {name: read_lines(bench.folder / f"{name}.jsonl") for name in WORKLOADS}
    dates = [line["date"] for lines in results.values() for line in lines]
    page = write_page(results, settings, {"date": max(dates, default="none"), **settings["machine"]})
    if options.output:
        before = options.output.read_text(encoding="utf-8") if options.output.is_file() else ""
        page = put_section(page, find_section(before) or NOTHING_YET)
        for markers in (RANKING, SHORT_RUNS):
            if section := find_section(before, *markers):
                page = put_section(page, section, *markers)
        options.output.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leaving `measure` also ends its process
    try:
        main()
    except ValueError as error:
        sys.exit(str(error))
