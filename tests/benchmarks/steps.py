"""How a step of zoo's engine compares with a bare one: forwards, backwards, and the optimizer.

    python tests/benchmarks/steps.py [BACKBONE ...]

Both take the same network from random weights, all of it learning, in the same precision, over the same images, which
are on the device already; they take their steps in turn, and which is first alternates. What zoo adds is the look at
the gradients before they move anything, what undoes a step that fails, and what keeps a signal from tearing it apart.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import zoo
from zoo.engine.device import Hardware, choose_hardware, place
from zoo.engine.learner import Criterion, Learner
from zoo.engine.optimizer import build_optimizer
from zoo.engine.precision import can_measure, choose_precision, measure_precisions
from zoo.engine.schedule import Schedule
from zoo.engine.step import take_step
from zoo.freeze import Frozen

BACKBONES = ("resnet18",)
BATCH_SIZE, SIZE, CLASSES = 32, (3, 224, 224), 2
PAIRS, WARM_UP = 16, 2
RATE = 1e-4

Step = Callable[[Tensor, Tensor], object]


def build_network(backbone: str, hardware: Hardware) -> nn.Module:
    """Build it from random weights, the same at each call."""
    torch.manual_seed(0)
    model = zoo.build(backbone, weights="none", num_classes=CLASSES)
    place(model, hardware)
    return model.train()


def choose_fastest(backbone: str) -> Hardware:
    """Return the hardware with the precision that a run would choose."""
    hardware = choose_hardware()
    if not can_measure(hardware):
        return hardware
    seconds = measure_precisions(build_network(backbone, hardware), SIZE, hardware, backwards=True)
    return Hardware(hardware.device, choose_precision(seconds))


def build_bare(model: nn.Module, hardware: Hardware) -> Step:
    """Return the step that a loop with nothing else in it takes."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, fused=True)

    def step(images: Tensor, labels: Tensor) -> None:
        with hardware.autocast():
            loss = nn.functional.cross_entropy(model(images).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        optimizer.step()
        optimizer.zero_grad()

    return step


def build_ours(model: nn.Module, hardware: Hardware) -> Step:
    """Return the step that a run takes."""
    learner = Learner(
        model=model,
        frozen=Frozen(model, tuple(name for name, _ in model.named_children())),
        criterion=Criterion(),
        optimizer=build_optimizer("adamw", model.parameters(), RATE, 0.01),
        schedule=Schedule("constant", WARM_UP + PAIRS),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
    )
    learner.frozen.train()
    return lambda images, labels: take_step(learner, images, labels, 0)


def time_step(step: Step, images: Tensor, labels: Tensor) -> float:
    """Return the seconds of a step, until all that it asked for is done."""
    start = time.perf_counter()
    step(images, labels)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - start


def compare(hardware: Hardware, backbone: str) -> list[tuple[float, float]]:
    """Return the seconds of zoo's step and of the bare one, pair after pair."""
    steps = [build(build_network(backbone, hardware), hardware) for build in (build_ours, build_bare)]
    images = torch.rand(BATCH_SIZE, *SIZE, device=hardware.device).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(BATCH_SIZE, device=hardware.device) % CLASSES
    pairs = []
    for turn in range(WARM_UP + PAIRS):
        order = (0, 1) if turn % 2 else (1, 0)
        seconds = {place: time_step(steps[place], images, labels) for place in order}
        pairs.append((seconds[0], seconds[1]))
    return pairs[WARM_UP:]


def main(*backbones: str) -> None:
    """Measure and print a table."""
    sys.stdout.write("| backbone | where | zoo, images/s | bare over zoo | middle half |\n|---|---|---|---|---|\n")
    for backbone in backbones or BACKBONES:
        hardware = choose_fastest(backbone)
        pairs = compare(hardware, backbone)
        rate = BATCH_SIZE / statistics.median(ours for ours, _ in pairs)
        low, middle, high = statistics.quantiles((bare / ours for ours, bare in pairs), n=4)
        where = f"{hardware.device.type}, {hardware.precision}"
        sys.stdout.write(f"| {backbone} | {where} | {rate:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
