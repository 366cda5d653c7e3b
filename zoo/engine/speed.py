"""The precision of a run: what was asked for, or what was measured to be faster here, once for each network.

Measurements are kept in the cache folder, so that a run is in the same precision the next time.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from zoo.engine.device import Hardware
from zoo.engine.features.feature_store import make_key
from zoo.engine.precision import can_measure, choose_precision, measure_precisions
from zoo.files.cache import cache_folder
from zoo.files.resumable import PartialLost, open_partial
from zoo.memory import is_out_of_memory
from zoo.models.build import Network
from zoo.models.sharding import is_sharded
from zoo.progress import Progress
from zoo.registry.recipe import Recipe

#: Changes whenever something else is timed.
FORMAT = 3


def settle_precision(network: Network, recipe: Recipe, hardware: Hardware, progress: Progress) -> Hardware:
    """Return the hardware with the precision that is faster, where ``auto`` was asked for and it can be told.

    Where the plugin does not claim that the network computes well in bf16, it is fp32.
    """
    is_open = recipe.precision == "auto" and not is_sharded(network.model)  # which runs in all processes at once
    if not is_open or "bf16" not in network.backbone.supports or not can_measure(hardware):
        return hardware
    about = _describe(network, recipe)
    seconds = _find(about)
    if seconds is None:
        backwards = recipe.train != "head"
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
