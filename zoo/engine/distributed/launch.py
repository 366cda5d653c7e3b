"""Start several processes on this machine for one run, with torchrun's own agent."""

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
from zoo.errors import OptionError, PeerError

#: Address at which the processes find each other; it cannot be reached from other machines.
_LOCALHOST = "127.0.0.1"


def needs_launch(count: int, device: str) -> bool:
    """Return whether zoo must start processes; torchrun may have started them already.

    Args:
        count: Number of processes on this machine.
        device: Value of the `device` option.

    Raises:
        OptionError: If this machine cannot run that number of processes.
    """
    if count < 1:
        raise OptionError(f"`devices` must be at least 1, got {count}.")
    if "WORLD_SIZE" in os.environ:
        started = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if started != count:
            raise OptionError(
                f"`devices` is {count}, but torchrun started {started} processes on this machine; omit `devices`."
            )
        return False
    gpus = torch.cuda.device_count()
    if gpus < count and (device == "cuda" or (device == "auto" and gpus)):
        raise OptionError(f"`devices` is {count}, but the number of available GPUs is {gpus}.")
    return count > 1


def launch(arguments: Sequence[str], count: int) -> int:
    """Run ``zoo`` with these arguments in several processes, wait for them, and return the exit code.

    Raises:
        PeerError: If a process was killed. The other processes have been stopped.
    """
    _silence(logging.getLogger("torch.distributed.elastic"))  # zoo prints one line instead
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint=f"{_LOCALHOST}:0",
        local_addr=_LOCALHOST,
        max_restarts=0,  # a checkpoint was saved, and --resume continues from it
    )
    try:
        elastic_launch(config, sys.executable)("-m", "zoo", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            raise PeerError(f"rank {rank} was killed by {name}; continue the run with `resume`.") from error
        return failure.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0


def _silence(logger: logging.Logger) -> None:
    """Drop the records of a logger and its children, whose own levels would override a level set here."""
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
