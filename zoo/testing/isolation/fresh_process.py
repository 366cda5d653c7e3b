"""A process that has built nothing yet: what it reads from a file is all that it knows.

Where the system can, processes are forked from a server that has done nothing but import torch, which is as fresh as
one that starts anew and spares the seconds that imports take.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import Subject
    from zoo.testing.plugin_under_test import Examined

#: Imported by the server that fresh processes are forked from; what is not installed is passed over.
_PRELOADED = ["torch", "zoo.testing.backbone_under_test", "zoo.testing.isolation.fresh_process"]
#: Seconds that building, loading and one forward pass may take.
PATIENCE = 900.0


@dataclass(frozen=True)
class Order:
    """What a fresh process is told."""

    namespace: str
    backbone: str
    path: Path
    size: tuple[int, int, int]
    threads: int


@dataclass(frozen=True)
class Reopened:
    """What a fresh process made of a saved model."""

    error: str
    digest: str = ""
    logits: Tensor = field(default_factory=lambda: torch.empty(0))


def fresh_context() -> BaseContext:
    """Return what starts fresh processes on this system."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def preload_upstreams(examined: Examined) -> None:
    """Let the server import what the plugin's networks come from as well, if it has not started yet."""
    declared = {backbone.upstream for backbone in examined.backbones if isinstance(backbone.upstream, str)}
    names = {upstream.partition("==")[0].replace("-", "_") for upstream in declared}
    _PRELOADED.extend(sorted(names - {*_PRELOADED}))


def start_process(context: BaseContext, target: Callable[..., None], arguments: tuple[object, ...]) -> BaseProcess:
    """Start a process that runs one of our functions, and ends when we do, however we end.

    A script of the user's that called us is not run again in it.
    """
    process: BaseProcess = context.Process(target=_run, args=(target, *arguments))  # type: ignore[attr-defined]  # all have it
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        process.start()
    finally:
        sys.modules["__main__"] = script
    return process


def _run(target: Callable[..., None], *arguments: object) -> None:
    """Run in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all of us; whoever started this one ends it
    Thread(target=_end_with_parent, daemon=True).start()
    target(*arguments)


def _end_with_parent() -> NoReturn:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def reopen_in_fresh_process(subject: Subject, path: Path) -> Reopened:
    """Build the subject's model anew in a process of its own and load the file into it."""
    context = fresh_context()
    receiver, sender = context.Pipe(duplex=False)
    order = Order(subject.namespace, subject.backbone.name, path, subject.smallest_size, torch.get_num_threads())
    process = start_process(context, _reopen, (sender, order))
    sender.close()
    if not receiver.poll(PATIENCE):
        process.terminate()
        return Reopened(f"it was not done after {PATIENCE:.0f} seconds")
    try:
        error, digest, logits = receiver.recv()
    except EOFError:
        process.join()
        return Reopened(f"it ended with {process.exitcode}")
    process.join()
    return Reopened(error, digest, torch.tensor(logits))


def _reopen(sender: Connection, order: Order) -> None:
    """Run in the fresh process."""
    torch.set_num_threads(order.threads)
    try:
        digest, logits = _load(order)
    except Exception as error:  # noqa: BLE001  # it is told to the process that asked
        sender.send((f"{type(error).__name__}: {error}", "", []))
    else:
        sender.send(("", digest, logits.tolist()))


def _load(order: Order) -> tuple[str, Tensor]:
    """Return a digest of all that was loaded, and the logits of the first image that the kit draws."""
    from zoo.models.build import attach_head, build_model
    from zoo.models.freeze import Frozen
    from zoo.models.weights.choose import Start
    from zoo.runs.model_file import load_tensors
    from zoo.testing.backbone_under_test import NUM_CLASSES, draw_images
    from zoo.testing.plugin_under_test import examine

    backbone = examine(order.namespace, is_known_to_load=True).get_backbone(order.backbone)
    model = attach_head(backbone, Start("none"), build_model(backbone, None), "linear", NUM_CLASSES).model
    load_tensors(model, order.path)
    with torch.no_grad():
        logits: Tensor = model.eval()(draw_images(order.size)[:1])
    return Frozen(model, ()).digest(), logits
