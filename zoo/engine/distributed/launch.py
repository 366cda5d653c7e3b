"""Several processes on this machine for one run, started and watched by torchrun's own agent."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence

import torch
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from zoo.data.cores import count_cores
from zoo.errors import LostProcess, OptionError

#: Where the processes of this machine find each other, and nobody else them.
_HERE = "127.0.0.1"


def needs_launch(count: int, device: str) -> bool:
    """Tell whether so many processes have to be started, which torchrun may have done already.

    Raises:
        OptionError: there cannot be so many here.
    """
    if count < 1:
        raise OptionError(f"{count} devices; it takes at least one.")
    if "WORLD_SIZE" in os.environ:
        there = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if there != count:
            raise OptionError(f"{count} devices, but torchrun started {there} processes here; leave `devices` out.")
        return False
    gpus = torch.cuda.device_count()
    if gpus < count and (device == "cuda" or (device == "auto" and gpus)):
        raise OptionError(f"{count} devices, but torch finds {gpus} GPU{'s' * (gpus != 1)} here.")
    return count > 1


def launch(arguments: Sequence[str], count: int) -> int:
    """Run ``zoo`` with these arguments in so many processes, and wait for them; returns the exit code.

    Raises:
        LostProcess: one of them was killed, and the others are ended.
    """
    _quiet(logging.getLogger("torch.distributed.elastic"))  # we say it in a line
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{_HERE}:0",
        local_addr=_HERE,
        max_restarts=0,  # the state is saved, and --resume goes on with it
    )
    try:
        elastic_launch(config, sys.executable)("-m", "zoo", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            raise LostProcess(f"the process of rank {rank} was ended by {name}; `resume` continues the run.") from error
        return failure.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0


def _quiet(logger: logging.Logger) -> None:
    """Keep what a logger and those below it say, each with a level of its own, from whoever is above."""
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
