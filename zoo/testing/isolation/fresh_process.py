"""Fresh processes, which know nothing about a saved model except the contents of its file.

If the system supports it, processes are forked from a server that has only imported modules. Such a process is as fresh
as a newly started one, but saves the seconds that the imports take.
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
from typing import NoReturn

import torch
from torch import Tensor

from zoo.files.versions import list_upstream
from zoo.models.build import attach_head, build_model
from zoo.models.freeze import digest_frozen
from zoo.models.weights.choose import WeightsSource
from zoo.runs.model_file import load_tensors
from zoo.testing.backbone_under_test import NUM_CLASSES, BackboneUnderTest, generate_images
from zoo.testing.plugin_under_test import PluginUnderTest, examine

#: Modules that the fork server imports; it skips modules that are not installed.
_PRELOADED = ["torch", "zoo.testing.isolation.fresh_process"]


def fresh_context() -> BaseContext:
    """Return the context that starts fresh processes on this system."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def preload_upstreams(plugin: PluginUnderTest) -> None:
    """Add the plugin's upstream libraries to the modules that the fork server imports, if it has not started yet."""
    declared = {backbone.upstream for backbone in plugin.backbones if isinstance(backbone.upstream, str)}
    names = {name.replace("-", "_") for upstream in declared for name in list_upstream(upstream)}
    _PRELOADED.extend(sorted(names - {*_PRELOADED}))


@contextmanager
def hidden_script() -> Iterator[None]:
    """Prevent processes started inside the block from running the user's script again."""
    script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def follow_parent() -> None:
    """End this process when its parent ends, even if the parent is killed, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> NoReturn:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def reopen_in_fresh_process(backbone: BackboneUnderTest, path: Path) -> tuple[str, Tensor]:
    """Build the backbone in a fresh process and load the file into it. Errors in the process are raised here.

    Returns:
        The digest of all parameters and buffers, and the logits of the kit's first image, of shape (1, num_classes).
    """
    arguments = backbone.namespace, backbone.spec.name, path, backbone.smallest_size, torch.get_num_threads()
    with ProcessPoolExecutor(1, fresh_context(), follow_parent) as pool:
        with hidden_script():
            future = pool.submit(_reopen, *arguments)
        digest, logits = future.result()
    return digest, torch.tensor(logits)


def _reopen(
    namespace: str, name: str, path: Path, size: tuple[int, int, int], threads: int
) -> tuple[str, list[list[float]]]:
    """Run in the fresh process."""
    torch.set_num_threads(threads)
    spec = examine(namespace, is_known_to_load=True).get_backbone(name)
    model = attach_head(spec, WeightsSource("none"), build_model(spec, None), "linear", NUM_CLASSES).model
    load_tensors(model, path)
    with torch.no_grad():
        logits: Tensor = model.eval()(generate_images(size)[:1])
    return digest_frozen(model, ()), logits.tolist()
