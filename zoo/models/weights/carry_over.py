"""Keeps the head of a run if training continues from its model: each class keeps its row of the last layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from safetensors import safe_open
from torch import Tensor, nn

from zoo.models.build import Network
from zoo.models.head import is_below_any
from zoo.progress import Progress
from zoo.registry.head_design import HeadDesign

#: Maximum number of class names that a message lists.
SHOWN = 10


@torch.no_grad()
def carry_over_head(network: Network, classes: Sequence[str], progress: Progress) -> None:
    """Copy the head of the file that a model was initialized from into the model's new head, class by class.

    A class that is missing from the file keeps its random row. Nothing happens if the file was not written by a run.

    Args:
        network: The network, whose new head is random.
        classes: Names of the classes, in the order of the logits.
        progress: Object that receives a note about what was kept.
    """
    header, path = network.start.header, network.start.file
    if header is None or path is None:
        return
    kept = [name for name in classes if name in header.classes]
    if not kept or HeadDesign.parse(header.head) != network.design:
        reason = "" if kept else ", because it has none of these classes"
        progress.say(
            f"note: the head of {path.name} ({header.head}: {_shorten(header.classes)}) is not used{reason}; "
            "the new head starts from random values"
        )
        return
    rows = [(classes.index(name), header.classes.index(name)) for name in kept]
    state, last = network.model.state_dict(), _list_last_layers(network)
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  # It is not a dict.
            if name in state and network.head.covers(name):
                _copy(state[name], file.get_tensor(name), rows if is_below_any(name, last) else None)
    new = [name for name in classes if name not in header.classes]
    rest = f"; random values for {_shorten(new)}" if new else ""
    progress.say(f"note: keeping the head of {path.name} for {_shorten(kept)}{rest}")


def _copy(target: Tensor, source: Tensor, rows: Sequence[tuple[int, int]] | None) -> None:
    if rows is None:
        target.copy_(source)
        return
    for new, old in rows:
        target[new] = source[old]


def _list_last_layers(network: Network) -> list[str]:
    """Return the paths of the layers with one row per class."""
    paths = []
    for path in (*network.head.paths, *network.head.aux_paths):
        module = network.model.get_submodule(path)
        paths.append(f"{path}.{len(module) - 1}" if isinstance(module, nn.Sequential) else path)
    return paths


def _shorten(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
