"""Whether bf16 is faster than fp32, measured: on processors it depends on the network as much as on the processor."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.device import Hardware
from zoo.errors import is_out_of_memory
from zoo.files.cache import cache_folder, make_key
from zoo.files.resumable import PartialLost, open_partial
from zoo.models.build import Network
from zoo.models.sharding import is_sharded
from zoo.progress import Progress
from zoo.registry.recipe import Recipe

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


#: Changes whenever something else is timed.
FORMAT = 3


def settle_precision(network: Network, recipe: Recipe, hardware: Hardware, progress: Progress) -> Hardware:
    """Return the hardware with the precision that is faster, where ``auto`` was asked for and it can be told.

    Where the plugin does not claim that the network computes well in bf16, it is fp32.
    """
    if recipe.precision != "auto":
        return hardware
    if "bf16" not in network.backbone.supports:
        return replace(hardware, precision="fp32")
    if is_sharded(network.model) or not can_measure(hardware):  # a sharded model runs in all processes at once
        return hardware
    about = _describe(network, recipe)
    seconds = _find(about)
    if seconds is None:
        backwards = not recipe.scope.is_head_only
        try:
            seconds = measure_precisions(network.model, network.input.size, hardware, backwards=backwards)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            progress.say("note: memory is too short to measure the precision; it is fp32")
            return hardware
        _keep(about, seconds, progress)
    chosen = choose_precision(seconds)
    ratio = seconds["fp32"] / seconds["bf16"]
    progress.say(f"precision: {chosen}, as bf16 takes {1 / ratio:.2f} times as long as fp32 here")
    return replace(hardware, precision=chosen)


def _describe(network: Network, recipe: Recipe) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "backbone": network.backbone.name,
        "size": network.input.size,
        "train": recipe.train,
        "torch": str(torch.__version__),
        "processor": [
            platform.machine(),
            torch.backends.cpu.get_cpu_capability(),
            torch.cpu._is_amx_tile_supported(),  # noqa: SLF001  # torch has no public word for it
            os.cpu_count(),
            torch.get_num_threads(),
        ],
    }


def _find(about: Mapping[str, Any]) -> Mapping[str, float] | None:
    path = _path_of(about)
    try:
        seconds = json.loads(path.read_text())["seconds"]
        return {precision: float(seconds[precision]) for precision in ("fp32", "bf16")}
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        with suppress(OSError):  # it is another user's
            path.unlink(missing_ok=True)
        return None


def _keep(about: Mapping[str, Any], seconds: Mapping[str, float], progress: Progress) -> None:
    path = _path_of(about)
    try:
        with open_partial(path, resume=False) as file:
            file.append(json.dumps({"about": about, "seconds": seconds}).encode())
    except PartialLost:
        pass  # another process measured it as well
    except OSError as error:
        progress.say(f"note: what was measured cannot be kept in {path.parent}: {error.strerror or error}")


def _path_of(about: Mapping[str, Any]) -> Path:
    return cache_folder() / "speed" / f"{make_key(about)}.json"
