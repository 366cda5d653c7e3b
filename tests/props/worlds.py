"""Several processes on this machine that form a process group, as if torchrun had started them."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore

#: Timeout of the processes in seconds.
PATIENCE = 120
#: Exit code of a process whose work raised an error.
RAISED = 70
#: Number of bytes in a message with a port.
_PORT = 2


@dataclass(frozen=True)
class Ended:
    """How a process ended: with the result of its work, or with an error."""

    #: Exit code, or the negative number of the signal.
    code: int
    seconds: float
    result: Any = None
    raised: str = ""


def start_world(size: int, work: Callable[[int], Any], folder: Path) -> tuple[list[int], TCPStore]:
    """Fork processes that call ``work`` with their rank. Return their ids and the store, which must outlive them."""
    torch.optim.SGD([torch.zeros(1)], lr=0.1)  # imports slow modules before the fork, instead of in each child
    reader, writer = os.pipe()
    children = []
    for rank in range(size):
        child = os.fork()
        if child == 0:
            os.close(writer)
            _work(rank, size, reader, work, folder)
        children.append(child)
    os.close(reader)
    # The store is created after the forks. Otherwise the children would inherit locked locks of the store's thread.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=PATIENCE))
    os.write(writer, store.port.to_bytes(_PORT, "big") * size)
    os.close(writer)
    return children, store


def in_world(
    size: int, work: Callable[[int], Any], *, at_work: Callable[[list[int]], None] | None = None
) -> list[Ended]:
    """Call ``work`` in several processes with their rank. After they have started, call ``at_work`` with their ids."""
    with tempfile.TemporaryDirectory() as name:
        folder, started = Path(name), time.monotonic()
        children, _store = start_world(size, work, folder)
        if at_work:
            at_work(children)
        ended: dict[int, Ended] = {}
        while len(ended) < size:
            for rank, child in enumerate(children):
                if rank not in ended and (found := os.waitpid(child, os.WNOHANG))[0]:
                    ended[rank] = _read(folder / str(rank), found[1], time.monotonic() - started)
            if time.monotonic() - started > PATIENCE:
                for rank in set(range(size)) - set(ended):
                    os.kill(children[rank], 9)
                    os.waitpid(children[rank], 0)
                raise TimeoutError(f"only these of {size} processes ended: {ended}")
            time.sleep(0.01)  # the duration does not affect any result
        return [ended[rank] for rank in range(size)]


def get_results(size: int, work: Callable[[int], Any]) -> list[Any]:
    """Call ``work`` in several processes, which must all succeed, and return the result of each."""
    ended = in_world(size, work)
    assert all(each.code == 0 for each in ended), "\n".join(each.raised for each in ended)
    return [each.result for each in ended]


def _read(path: Path, status: int, seconds: float) -> Ended:
    result, raised = pickle.loads(path.read_bytes()) if path.exists() else (None, "")
    return Ended(os.waitstatus_to_exitcode(status), seconds, result, raised)


def _work(rank: int, size: int, reader: int, work: Callable[[int], Any], folder: Path) -> None:
    """Call ``work`` in the child process, which exits at the end of this function."""
    outcome, code = pickle.dumps((None, "")), 0
    try:
        port = int.from_bytes(os.read(reader, _PORT), "big")
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_RANK": str(rank),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
        }
        torch.set_num_threads(1)
        outcome = pickle.dumps((work(rank), ""))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException as error:  # noqa: BLE001  # reported to the waiting process
        outcome, code = pickle.dumps((None, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")), RAISED
    finally:
        (folder / f"{rank}.partial").write_bytes(outcome)
        (folder / f"{rank}.partial").rename(folder / str(rank))
        os._exit(code)
