"""Start several processes on this machine for one run, with torchrun."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from zoo.data.cores import count_cores
from zoo.engine.distributed.process_group import read_place
from zoo.errors import OptionError, PeerError

#: Options of torchrun. The address cannot be reached from other machines.
_TORCHRUN = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1", "-m", "zoo")


def needs_launch(count: int, device: str) -> bool:
    """Return whether zoo must start that many processes; torchrun may have started them already.

    Raises:
        OptionError: If this machine cannot run that number of processes on the `device`.
    """
    if count < 1:
        raise OptionError(f"`devices` must be at least 1, got {count}.")
    if "WORLD_SIZE" in os.environ:
        started = read_place().local_size
        if started != count:
            which = "1 process" if started == 1 else f"{started} processes"
            raise OptionError(f"`devices` is {count}, but torchrun started {which} on this machine; omit `devices`.")
        return False
    gpus = torch.cuda.device_count()
    if gpus < count and (device == "cuda" or (device == "auto" and gpus)):
        raise OptionError(f"`devices` is {count}, but the number of available GPUs is {gpus}.")
    return count > 1


def _ignore_surroundings() -> None:
    """Make torchrun start exactly this command again, whatever its variables and the current folder contain."""
    for name in [name for name in os.environ if name.startswith("PET_")]:
        del os.environ[name]  # torchrun reads its own options from them, for example a number of machines
    if sys.path[:1] != [str(Path.cwd())]:
        # With `-m`, Python would import modules from the current folder, such as the random.py of a data set.
        os.environ["PYTHONSAFEPATH"] = "1"


def launch(arguments: Sequence[str], count: int) -> int:
    """Run ``zoo`` with these arguments in several processes, wait for them, and return the exit code.

    Raises:
        PeerError: If a process was killed. The other processes have been stopped.
    """
    logger = logging.getLogger("torch.distributed.elastic")  # zoo prints one line instead
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    _ignore_surroundings()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, count_cores() // count)))
    try:
        parsed = torchrun.parse_args(["--nproc-per-node", str(count), *_TORCHRUN, *arguments])  # type: ignore[no-untyped-call]  # torch's own
        torchrun.run(parsed)  # type: ignore[no-untyped-call]  # torch's own
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = signal.Signals(-failure.exitcode).name
            raise PeerError(f"rank {rank} was killed by {name}; continue the run with `resume`.") from error
        return failure.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0
