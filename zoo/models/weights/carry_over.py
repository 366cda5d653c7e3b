"""Keep the head of a run if training continues from its model: each class keeps its row of the last layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from zoo.errors import WeightsError
from zoo.models.build import Network
from zoo.models.head import is_below_any
from zoo.models.weights.misfits import find_unusable
from zoo.models.weights.shorten import shorten
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

    Raises:
        WeightsError: If the head in the file is damaged.
    """
    header, path = network.initial_weights.header, network.initial_weights.file
    if header is None or path is None:
        return
    known = set(header.classes)
    kept = [name for name in classes if name in known]
    if not kept or HeadDesign.parse(header.head) != network.design:
        reason = "" if kept else ", because it has none of these classes"
        progress.say(
            f"note: the head of {path.name} ({header.head}: {shorten(header.classes, SHOWN)}) is not used{reason}; "
            "the new head starts from random values"
        )
        return
    state, last = network.model.state_dict(), _list_last_layers(network)
    targets = {name: tensor for name, tensor in state.items() if network.head.covers(name)}
    tensors = _read_head(path, targets, last, len(header.classes))
    old = {name: row for row, name in enumerate(header.classes)}
    rows = [(row, old[name]) for row, name in enumerate(classes) if name in old]
    for name, tensor in tensors.items():
        _copy(targets[name], tensor, rows if is_below_any(name, last) else None)
    new = [name for name in classes if name not in known]
    rest = f"; random values for {shorten(new, SHOWN)}" if new else ""
    progress.say(f"note: keeping the head of {path.name} for {shorten(kept, SHOWN)}{rest}")


def _read_head(path: Path, targets: Mapping[str, Tensor], last: Sequence[str], num_classes: int) -> dict[str, Tensor]:
    """Read the head of a run's model.

    Args:
        path: The model file.
        targets: Tensors of the new head, by name.
        last: Paths of the layers with one row per class.
        num_classes: Number of classes in the header of the file.

    Raises:
        WeightsError: If a tensor is missing, has an unexpected shape or has unusable values.
    """
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name in targets}  # noqa: SIM118
    shapes = {
        name: (num_classes, *tensor.shape[1:]) if is_below_any(name, last) else tuple(tensor.shape)
        for name, tensor in targets.items()
    }
    wrong = [name for name, shape in shapes.items() if name not in tensors or tuple(tensors[name].shape) != shape]
    unusable = [name for names in find_unusable(tensors, targets).values() for name in names]
    if wrong or unusable:
        names = ", ".join((wrong or unusable)[:3])
        raise WeightsError(
            f"{path} has a damaged head: these tensors do not match the header or have unusable values: {names}."
        )
    return tensors


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
