"""Compare a training step of zoo's engine with a minimal one: forward pass, backward pass and optimizer step.

    python tests/benchmarks/steps.py [BACKBONE ...]

Both steps train the same network from random weights in the same precision on the same images, which are already on
the device. The two steps run in pairs, and the order within a pair alternates. In addition to the minimal work, zoo's
step checks the loss and the gradients before it changes anything, can undo a step that fails, and delays signals until
the step is complete.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.engine.criterion import Criterion
from zoo.engine.device import Hardware, allowing_tf32, choose_hardware, place
from zoo.engine.learner import Learner
from zoo.engine.optimizer import build_optimizer
from zoo.engine.precision import choose_precision
from zoo.engine.schedule import Schedule
from zoo.engine.step import take_step
from zoo.engine.torch_compile import CompiledModel
from zoo.models.blocks import list_blocks
from zoo.models.build import Network, attach_head, build_backbone
from zoo.models.freeze import Frozen
from zoo.models.weights.choose import choose_weights
from zoo.progress import Silent
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.recipe import Recipe
from zoo.registry.registry import open_registry
from zoo.registry.schedule_design import ScheduleDesign
from zoo.training.prepare import freeze

BACKBONES = ("resnet18",)
CLASSES = 2
RATE = 1e-4

Step = Callable[[Tensor, Tensor], object]


@dataclass(frozen=True)
class Workload:
    """The training step to time, and the number of repetitions."""

    backbone: str
    batch_size: int = 32
    #: Options of ``zoo finetune``.
    head: str = "linear"
    train: str = "all"
    compile: bool = False
    #: Number of pairs of blocks, and steps per block. The device is synchronized only at the end of a block, so that
    #: the queue of a GPU stays as full as in training.
    pairs: int = 16
    steps: int = 1
    #: Number of blocks of each that are not counted.
    warm_up: int = 2


@dataclass(frozen=True)
class Trained:
    """A network with its frozen parameters."""

    network: Network
    frozen: Frozen


#: Function that returns the training step of a network.
Build = Callable[[Trained, Workload, Hardware], Step]


@dataclass(frozen=True)
class Measured:
    """The seconds per step in each pair, and the peak memory of both steps."""

    ours: list[float]
    other: list[float]
    #: Peak memory of a step in bytes; None without a GPU.
    ours_memory: int | None
    other_memory: int | None
    #: Seconds of zoo's first block, which includes compilation.
    first: float

    @property
    def ratios(self) -> list[float]:
        """The ratios of the other step's time to ours: 1.0 if zoo adds nothing to a minimal step."""
        return [other / ours for ours, other in zip(self.ours, self.other, strict=True)]


def build_trained(work: Workload, hardware: Hardware) -> Trained:
    """Build the network with the same random weights each time."""
    torch.manual_seed(0)
    resolved = open_registry().resolve(work.backbone)
    weights = choose_weights(resolved, "none")
    model, weights = build_backbone(resolved.backbone, weights, Silent())
    network = attach_head(resolved.backbone, weights, model, work.head, CLASSES)
    place(model, hardware)
    blocks = list_blocks(resolved.backbone, model, network.head)
    frozen = freeze(network, blocks, Recipe(train=work.train, head=work.head))
    frozen.train()
    return Trained(network, frozen)


def read_size(work: Workload) -> tuple[int, int, int]:
    """Return the number of channels, the height and the width of the network's input."""
    return open_registry().resolve(work.backbone).backbone.input.size


def choose_fastest(work: Workload) -> Hardware:
    """Return the hardware, with the precision that a run would choose."""
    return choose_precision("auto", open_registry().resolve(work.backbone).backbone, choose_hardware())


def list_trainable(model: nn.Module) -> list[nn.Parameter]:
    """Return the trainable parameters."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def build_bare(trained: Trained, _work: Workload, hardware: Hardware) -> Step:
    """Return a minimal step."""
    model = trained.network.model
    optimizer = torch.optim.AdamW(list_trainable(model), lr=RATE, fused=True)

    def step(images: Tensor, labels: Tensor) -> None:
        with hardware.autocast():
            loss = nn.functional.cross_entropy(model(images).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
        optimizer.step()
        optimizer.zero_grad()

    return step


def refuse_failure(line: str) -> None:
    """Raise an error if the engine reports that it continues without compiling."""
    if "compilation failed" in line:
        raise RuntimeError(line)


def build_ours(trained: Trained, work: Workload, hardware: Hardware) -> Step:
    """Return the step of the engine."""
    model = trained.network.model
    learner = Learner(
        model=model,
        frozen=trained.frozen,
        criterion=Criterion(),
        optimizer=build_optimizer(OptimizerDesign("adamw"), list_trainable(model), RATE, 0.01),
        schedule=Schedule(ScheduleDesign("constant"), (work.warm_up + work.pairs) * work.steps),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=0,
        compiled=CompiledModel(model, work.batch_size, refuse_failure) if work.compile else None,
    )
    return lambda images, labels: take_step(learner, (images, labels), 0)


def time_block(step: Step, images: Tensor, labels: Tensor, count: int) -> float:
    """Return the mean seconds per step over ``count`` steps. The device is synchronized at the end."""
    start = time.perf_counter()
    for _ in range(count):
        step(images, labels)
    if images.device.type == "cuda":
        torch.cuda.synchronize(images.device)
    return (time.perf_counter() - start) / count


class Peak:
    """The peak of the memory that is allocated on a GPU from now on, minus the memory that was allocated before."""

    def __init__(self, device: torch.device) -> None:
        self._device = device if device.type == "cuda" else None
        if self._device:
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)

    def read(self) -> int | None:
        """Return the peak in bytes, or None without a GPU."""
        return torch.cuda.max_memory_allocated(self._device) - self._before if self._device else None


def compare(work: Workload, hardware: Hardware, other: Build | None = None) -> Measured:
    """Time blocks of zoo's step and of another step (by default, the minimal one), alternately."""
    with allowing_tf32(hardware):
        sides: list[Step] = []
        peaks: list[int | None] = []
        first = 0.0
        images = torch.rand(work.batch_size, *read_size(work), device=hardware.device)
        images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.arange(work.batch_size, device=hardware.device) % CLASSES
        for build in (build_ours, other or build_bare):
            peak, trained = Peak(hardware.device), build_trained(work, hardware)
            sides.append(build(trained, work, hardware))
            seconds = [time_block(sides[-1], images, labels, work.steps) for _ in range(work.warm_up)]
            peaks.append(peak.read())
            first = first or seconds[0] * work.steps
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(work.pairs):
            for side in (0, 1) if turn % 2 else (1, 0):
                times[side].append(time_block(sides[side], images, labels, work.steps))
    return Measured(times[0], times[1], peaks[0], peaks[1], first)


def main(*backbones: str) -> None:
    """Measure and print a table."""
    sys.stdout.write("| backbone | where | zoo, images/s | bare over zoo | middle half |\n|---|---|---|---|---|\n")
    for backbone in backbones or BACKBONES:
        work = Workload(backbone)
        hardware = choose_fastest(work)
        measured = compare(work, hardware)
        rate = work.batch_size / statistics.median(measured.ours)
        low, middle, high = statistics.quantiles(measured.ratios, n=4)
        where = f"{hardware.device.type}, {hardware.precision}"
        sys.stdout.write(f"| {backbone} | {where} | {rate:.1f} | {middle:.2f} | {low:.2f} to {high:.2f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
