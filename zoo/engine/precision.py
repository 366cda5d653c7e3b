"""Whether bf16 is faster than fp32, measured: on processors it depends on the network as much as on the processor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from zoo.engine.device import Hardware

#: Images that a pass is timed on: as many as take about so many seconds, from the fewest to the most.
DURATION, FEWEST, MOST = 0.2, 2, 8
PRECISIONS = ("fp32", "bf16")
#: How often each is timed at most, in turns, so that what else the machine does slows both; the fastest pass counts. A
#: turn before them warms up.
TURNS = 3
#: How many times faster bf16 must be: it is less precise, and a measurement is never exact.
GAIN = 1.25
#: A turn in which it is so many times faster is the last one. A turn against it never is: bf16 may have been what the
#: machine slowed, and a run in fp32 where bf16 is faster takes twice as long.
CLEAR = 1.5
#: A first pass that takes so many seconds, though it warms up, tells enough about how many images to take.
LONG = 1.0


def can_measure(hardware: Hardware) -> bool:
    """Tell whether there is anything to find out: a processor that computes in bf16 without emulating it."""
    if hardware.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's own
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  # torch has no public word for it


def measure_precisions(
    model: nn.Module, size: tuple[int, int, int], hardware: Hardware, *, backwards: bool
) -> dict[str, float]:
    """Return the seconds of a pass in each precision.

    The model is as it was afterwards, its gradients apart, which are gone.

    Args:
        model: the network, on the device.
        size: channels, height and width of an image.
        hardware: where it runs.
        backwards: time the gradients as well, as where more than a head learns.
    """
    was_training = {module: module.training for module in model.modules()}
    model.eval()  # so that no batch norm learns from what is no image
    images = torch.zeros(MOST, *size, device=hardware.device).contiguous(memory_format=torch.channels_last)
    hardware = replace(hardware, precision="fp32")
    try:
        with torch.set_grad_enabled(backwards):
            images = images[: _choose_count(model, images[:FEWEST], hardware)]
            turns: list[dict[str, float]] = []
            while len(turns) < 1 + TURNS and not _is_clear(turns):
                turns.append(_time_turn(model, images, hardware))
            return {precision: min(turn[precision] for turn in turns[1:]) for precision in PRECISIONS}
    finally:
        model.zero_grad(set_to_none=True)
        for module, training in was_training.items():
            module.training = training


def choose_precision(seconds: Mapping[str, float]) -> str:
    """Return the precision that these measurements speak for."""
    return "bf16" if seconds["bf16"] * GAIN < seconds["fp32"] else "fp32"


def _choose_count(model: nn.Module, fewest: Tensor, hardware: Hardware) -> int:
    """Return how many images a pass is timed on."""
    if _time(model, fewest, hardware) > LONG:
        return FEWEST
    return min(max(FEWEST, int(DURATION * FEWEST / _time(model, fewest, hardware))), MOST)


def _is_clear(turns: Sequence[Mapping[str, float]]) -> bool:
    """Tell whether the last turn leaves no doubt; the first one warms up."""
    return len(turns) > 1 and turns[-1]["bf16"] * CLEAR < turns[-1]["fp32"]


def _time_turn(model: nn.Module, images: Tensor, hardware: Hardware) -> dict[str, float]:
    return {precision: _time(model, images, replace(hardware, precision=precision)) for precision in PRECISIONS}


def _time(model: nn.Module, images: Tensor, hardware: Hardware) -> float:
    """Return the seconds of a pass."""
    started = time.perf_counter()
    with hardware.autocast():
        logits: Tensor = model(images)
    if logits.requires_grad:
        logits.float().sum().backward()  # type: ignore[no-untyped-call]  # torch's own
    return time.perf_counter() - started
