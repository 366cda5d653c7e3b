"""Functions that each disable one safeguard, to show that the fault scripts then report failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zoo.engine import loop
from zoo.files import atomic as durable
from zoo.runs import checkpoints, folder
from zoo.training.checkpointing import Checkpointer


def rename() -> None:
    """Write files in place."""

    @contextmanager
    def atomic_run_write(path: Path, size: int | None = None) -> Iterator[Path]:  # noqa: ARG001
        yield path
        durable._synchronize(path)

    checkpoints.atomic_run_write = folder.atomic_run_write = atomic_run_write  # type: ignore[attr-defined]


def checksum() -> None:
    """Write files in place, and do not verify checkpoints when they are read."""
    rename()
    checkpoints.Checkpoints._list = lambda self: sorted(self._folder.glob("*.safetensors"), reverse=True)  # type: ignore[method-assign]
    checkpoints._verify = lambda _path: None


def seeds() -> None:
    """Do not derive the random generator of dropout from the step."""
    loop.seed_of_step = lambda *_: 0  # type: ignore[assignment]
    loop.torch.manual_seed = lambda _seed: None  # type: ignore[attr-defined]


def optimizer() -> None:
    """Do not restore the state of the optimizer."""
    from zoo.engine import state

    state._list_slots = lambda *_: {}  # type: ignore[assignment]


def saving() -> None:
    """Do not save checkpoints."""
    Checkpointer.save = lambda _self: None  # type: ignore[method-assign]


WEAKNESSES: Mapping[str, Callable[[], None]] = {
    "rename": rename,
    "checksum": checksum,
    "seeds": seeds,
    "optimizer": optimizer,
    "saving": saving,
}
