"""Do only the work that cannot be avoided, to find the speed limit of the machine.

With a frozen network, each training and validation image is decoded once, by one thread per core, and goes through the
network once. If all parameters are trained, only the training steps run, on images that are already in memory. In both
cases, the script uses channels_last, uses bfloat16 or float32, whichever is faster, and keeps freed memory, as zoo
does. The time to choose the precision does not count.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.io import decode_jpeg, read_file
from torchvision.transforms import v2

from job import Job, print_answer, read_job
from networks import MEAN, STD, count_trainable, split_network

#: Number of trials of each precision.
TRIES = 2
#: Number of batches that are decoded in advance.
AHEAD = 2


def list_photos(job: Job, split: str) -> list[Path]:
    """List the images of a split."""
    return sorted((job.data / split).glob("*/*"))


def decode(job: Job) -> Iterator[Tensor]:
    """Yield all images in batches of shape (N, 3, size, size)."""
    transform = v2.Compose(
        [
            v2.Resize(256, antialias=True),
            v2.CenterCrop(job.size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )

    def prepare(path: Path) -> Tensor:
        image: Tensor = transform(decode_jpeg(read_file(str(path)), mode="RGB"))
        return image

    paths, pending = [*list_photos(job, "train"), *list_photos(job, "val")], deque[list[Future[Tensor]]]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), job.batch_size):
            pending.append([pool.submit(prepare, path) for path in paths[start : start + job.batch_size]])
            if len(pending) > AHEAD:
                yield collect(pending.popleft(), job.device)
        for images in pending:
            yield collect(images, job.device)


def collect(images: list[Future[Tensor]], device: str) -> Tensor:
    """Wait for the images, and return them as one batch on the device."""
    return lay_out(torch.stack([image.result() for image in images]), device)


def lay_out(pixels: Tensor, device: str) -> Tensor:
    """Move images to the device, in the channels-last memory format."""
    return pixels.to(device).contiguous(memory_format=torch.channels_last)


def choose_precision(device: str, work: Callable[[], None]) -> Callable[[], AbstractContextManager[object]]:
    """Return a function that creates the context of the faster precision."""

    def half() -> AbstractContextManager[object]:
        return torch.autocast(device, torch.bfloat16)

    times = {}
    for precision in (nullcontext, half):
        with precision():
            work()
            wait(device)
            start = time.perf_counter()
            for _ in range(TRIES):
                work()
            wait(device)
        times[time.perf_counter() - start] = precision
    return times[min(times)]


def wait(device: str) -> None:
    """Wait until the device has finished."""
    if device == "cuda":
        torch.cuda.synchronize()


def pass_once(job: Job, model: nn.Module) -> float:
    """Run the network on each image once. Return the seconds spent on choosing a precision."""
    body = model[0].eval()  # type: ignore[index]

    def work() -> None:
        body(lay_out(torch.rand(job.batch_size, 3, job.size, job.size), job.device))

    with torch.inference_mode():
        start = time.perf_counter()
        precision = choose_precision(job.device, work)
        aside = time.perf_counter() - start
        for images in decode(job):
            with precision():
                body(images)
    return aside


def step_only(job: Job, model: nn.Module) -> tuple[float, float]:
    """Take all training steps. Return the seconds spent on choosing a precision and on the steps."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    pixels = lay_out(torch.rand(job.batch_size, 3, job.size, job.size), job.device)
    labels = torch.randint(len(job.classes), (job.batch_size,)).to(job.device)

    def step(count: int = job.batch_size) -> None:
        loss = nn.functional.cross_entropy(model(pixels[:count]).float(), labels[:count])
        with torch.autocast(job.device, enabled=False):
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    start = time.perf_counter()
    precision = choose_precision(job.device, step)
    aside = time.perf_counter() - start
    whole, rest = divmod(len(list_photos(job, "train")), job.batch_size)
    start = time.perf_counter()
    for count in ([job.batch_size] * whole + [rest] * bool(rest)) * job.epochs:
        with precision():
            step(count)
    wait(job.device)
    return aside, time.perf_counter() - start


def keep_freed() -> None:
    """Make the C library keep freed memory, through the options M_MMAP_MAX and M_TRIM_THRESHOLD of mallopt."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):
        library.mallopt(-4, 0)
        library.mallopt(-1, -1)


def main() -> None:
    """Do the work, and print the answer."""
    keep_freed()
    job = read_job()
    torch.manual_seed(job.seed)
    body, head = split_network(job)
    model = nn.Sequential(body, nn.Flatten(), head).to(job.device, memory_format=torch.channels_last)
    images = len(list_photos(job, "train")) * job.epochs
    if job.workload == "full":
        aside, steps = step_only(job, model)
        print_answer(images=images, epochs=job.epochs, learning=count_trainable(model), aside=aside, steps=steps)
    else:
        print_answer(images=images, epochs=job.epochs, learning=0, aside=pass_once(job, model))


if __name__ == "__main__":
    main()
