"""A process that has built nothing yet: what it reads from a file is all that it knows.

Where the system can, processes are forked from a server that has done nothing but import torch, which is as fresh as
one that starts anew and spares the seconds that imports take.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import torch
from torch import Tensor

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import BackboneUnderTest
    from zoo.testing.plugin_under_test import PluginUnderTest

#: Imported by the server that fresh processes are forked from; what is not installed is passed over.
_PRELOADED = ["torch", "zoo.testing.backbone_under_test", "zoo.testing.isolation.fresh_process"]


class Reopened(NamedTuple):
    """What a fresh process made of a saved model."""

    #: Of all parameters and buffers.
    digest: str
    #: Of the first image that the kit draws, of shape (1, classes).
    logits: Tensor


def fresh_context() -> BaseContext:
    """Return what starts fresh processes on this system."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def preload_upstreams(plugin: PluginUnderTest) -> None:
    """Let the server import what the plugin's networks come from as well, if it has not started yet."""
    declared = {backbone.upstream for backbone in plugin.backbones if isinstance(backbone.upstream, str)}
    names = {upstream.partition("==")[0].replace("-", "_") for upstream in declared}
    _PRELOADED.extend(sorted(names - {*_PRELOADED}))


@contextmanager
def hidden_script() -> Iterator[None]:
    """Keep processes that start inside from running the user's script again."""
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def follow_parent() -> None:
    """Let this process end when its parent does, however that ends, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> NoReturn:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def reopen_in_fresh_process(backbone: BackboneUnderTest, path: Path) -> Reopened:
    """Build the backbone anew in a process of its own, and load the file into it; raises what is raised there."""
    order = backbone.namespace, backbone.spec.name, path, backbone.smallest_size, torch.get_num_threads()
    with ProcessPoolExecutor(1, fresh_context(), follow_parent) as pool:
        with hidden_script():
            answer = pool.submit(_reopen, *order)
        digest, logits = answer.result()
    return Reopened(digest, torch.tensor(logits))


def _reopen(
    namespace: str, name: str, path: Path, size: tuple[int, int, int], threads: int
) -> tuple[str, list[list[float]]]:
    """Run in the fresh process."""
    from zoo.models.build import attach_head, build_model
    from zoo.models.freeze import Frozen
    from zoo.models.weights.choose import WeightsSource
    from zoo.runs.model_file import load_tensors
    from zoo.testing.backbone_under_test import NUM_CLASSES, draw_images
    from zoo.testing.plugin_under_test import examine

    torch.set_num_threads(threads)
    spec = examine(namespace, is_known_to_load=True).get_backbone(name)
    model = attach_head(spec, WeightsSource("none"), build_model(spec, None), "linear", NUM_CLASSES).model
    load_tensors(model, path)
    with torch.no_grad():
        logits: Tensor = model.eval()(draw_images(size)[:1])
    return Frozen(model, ()).digest(), logits.tolist()
