"""Measure how many images per second `zoo serve` answers, compared with the model alone.

    python tests/benchmarks/serve.py FOLDER [--backbone mobilenet_v2] [--weights FILE] [--clients 20] [--pairs 5]

The script trains a head on FOLDER for an epoch, and starts ``zoo serve`` on loopback. Both sides are measured in turn.
The clients are threads of this process. Each of them sends an image, waits for the answer, and sends the next one. The
other side decodes the same images in one thread per core, and runs the model on batches as large as the number of
clients. The script fails if the median ratio of the two rates is below --limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does before it imports torch

import torch  # after the variable
from torch import nn

import zoo
from predict import decode, forward_all
from zoo.data.cores import count_cores
from zoo.data.decoding_threads import start_threads


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--limit", type=float, default=0.9)
    arguments = parser.parse_args()
    paths = [*islice(cycle(sorted(arguments.data.rglob("*.jpg"))), arguments.images)]
    with tempfile.TemporaryDirectory() as place:
        options = {"weights": arguments.weights} if arguments.weights else {}
        run = zoo.finetune(
            arguments.backbone, data=arguments.data, epochs=1, device="cpu", output=f"{place}/run", **options
        )
        ratios = measure(run.path, paths, arguments.clients, arguments.pairs)
    median = statistics.median(ratios)
    sys.stdout.write(f"{arguments.clients} clients get {median:.2f} times the rate of the model alone\n")
    return int(median < arguments.limit)


def measure(run: Path, paths: Sequence[Path], clients: int, pairs: int) -> list[float]:
    """Return the ratio of the rates in each pair."""
    model = zoo.load(run, device="cpu").model
    command = [sys.executable, "-m", "zoo", "serve", str(run), "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = urlsplit(process.stdout.readline().strip()).netloc
        try:
            ask_all(address, paths[: 2 * clients], clients)
            alone_all(model, paths[: 2 * clients], clients)
            return [compare(model, address, paths, clients) for _ in range(pairs)]
        finally:
            process.terminate()


def compare(model: nn.Module, address: str, paths: Sequence[Path], clients: int) -> float:
    alone = count_rate(lambda: alone_all(model, paths, clients), paths)
    served = count_rate(lambda: ask_all(address, paths, clients), paths)
    sys.stdout.write(f"alone {alone:.1f} images/s, served {served:.1f} images/s, ratio {served / alone:.2f}\n")
    sys.stdout.flush()
    return served / alone


def count_rate(work: Callable[[], None], paths: Sequence[Path]) -> float:
    started = time.perf_counter()
    work()
    return len(paths) / (time.perf_counter() - started)


def alone_all(model: nn.Module, paths: Sequence[Path], size: int) -> None:
    """Decode and classify the images in batches of this size."""
    with start_threads(count_cores(), "decode") as pool:
        for first in range(0, len(paths), size):
            forward_all(model, [torch.stack([*pool.map(decode, paths[first : first + size])])])


def ask_all(address: str, paths: Sequence[Path], clients: int) -> None:
    """Let the clients send the images, each of them one at a time."""
    with ThreadPoolExecutor(clients) as pool:
        for answered in pool.map(lambda number: ask_some(address, paths[number::clients]), range(clients)):
            assert answered


def ask_some(address: str, paths: Sequence[Path]) -> bool:
    connection = HTTPConnection(address, timeout=120)
    for path in paths:
        connection.request("POST", "/predict", path.read_bytes())
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            return False
    connection.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
