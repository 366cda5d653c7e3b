"""What training starts from: published weights, a file, or random ones; and how they come into the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.errors import WeightsError
from zoo.models.head import Head, get_head, is_below, is_below_any, replace_head
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.locate import locate_weights
from zoo.models.weights.read import read_weights
from zoo.plugin import BackboneSpec
from zoo.progress import Progress
from zoo.registry.head_design import HeadDesign


def read_start(start: WeightsSource, progress: Progress) -> Mapping[str, Tensor]:
    """Read the tensors that training starts from.

    Raises:
        WeightsError: they cannot be had, or the file is damaged.
    """
    if start.file is not None:
        return read_weights(start.file, sha256=None)
    if start.weights is None:
        return {}
    return read_weights(locate_weights(start.weights, progress), sha256=start.weights.sha256)


def load_tensors(
    backbone: BackboneSpec, model: nn.Module, start: WeightsSource, tensors: Mapping[str, Tensor]
) -> list[str]:
    """Load tensors under upstream's keys into the model, strictly, all but its head.

    A head of another size than the model's is taken over with its size, one that is missing is left random.

    Returns:
        What the user should know, one line each.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or not finite; nothing was loaded then.
    """
    tensors = _drop_meaningless(backbone, model, start, _convert(backbone, model, start, tensors))
    head = get_head(backbone, model)
    absent = [path for path in (*head.paths, *head.aux_paths) if not _has_below(tensors, path)]
    absent += start.lacks
    _refuse_misfits(start, model.state_dict(), tensors, _Tolerance(head, _list_optional(model, absent)))
    notes = list(_fit_head(backbone, model, head, tensors))
    # What is loaded over the model's own state keeps its version marks: without them some upstream modules
    # (MNASNet, BatchNorm) take the tensors for those of an older self.
    state = model.state_dict()
    state.update(tensors)
    model.load_state_dict(state)
    if start.lacks:
        notes.append(f"{start.label} holds nothing usable for {', '.join(start.lacks)}, which stays random")
    return notes


@dataclass(frozen=True)
class _Tolerance:
    """In what a file may differ from the model."""

    #: Its tensors may have another number of outputs.
    head: Head
    #: Keys that it may lack.
    optional: set[str]


def _convert(
    backbone: BackboneSpec, model: nn.Module, start: WeightsSource, tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Let upstream translate a file whose keys are not the model's."""
    default = backbone.default_weights
    tag = start.tag or (default.tag if default else None)
    if backbone.convert is None or tag is None or tensors.keys() <= model.state_dict().keys():
        return tensors
    return backbone.convert(tag, tensors)


def _drop_meaningless(
    backbone: BackboneSpec, model: nn.Module, start: WeightsSource, tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    has_head = start.weights is None or start.weights.num_classes is not None
    meaningless = start.lacks + (() if has_head else get_head(backbone, model).paths)
    return {name: tensor for name, tensor in tensors.items() if not is_below_any(name, meaningless)}


def _fit_head(backbone: BackboneSpec, model: nn.Module, head: Head, tensors: Mapping[str, Tensor]) -> Iterable[str]:
    """Give the model's head the size of the file's."""
    path = head.paths[0]
    weight = tensors.get(f"{path}.weight")
    if weight is None:
        yield "these weights have no head; the new one starts at random, as any new head does"
        return
    classes = weight.shape[0]
    if classes != len(model.get_parameter(f"{path}.weight")):
        replace_head(backbone, model, classes, HeadDesign())
        yield f"the head of these weights knows {classes} classes"


def _has_below(tensors: Mapping[str, Tensor], path: str) -> bool:
    return any(is_below(name, path) for name in tensors)


def _list_optional(model: nn.Module, absent: list[str]) -> set[str]:
    """List the keys that a file may lack: what it is known to lack, and counters that older files do not have."""
    names = model.state_dict().keys()
    counters = {name for name in names if name.endswith("num_batches_tracked")}
    return counters | {name for name in names if is_below_any(name, absent)}


def _refuse_misfits(
    start: WeightsSource, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], tolerance: _Tolerance
) -> None:
    known = {_identity(tensor) for name, tensor in state.items() if name in tensors}
    missing = [
        name
        for name in state
        if name not in tensors and name not in tolerance.optional and _identity(state[name]) not in known
    ]
    unknown = [name for name in tensors if name not in state]
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(state[name].shape)}"
        for name in tensors
        if name in state and not _fits(tensors[name].shape, state[name].shape, in_head=tolerance.head.covers(name))
    ]
    infinite = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not is_finite(tensor)]
    for fault, names in (
        ("lacks", missing), ("has unknown", unknown), ("has other shapes:", shapes), ("is not finite in", infinite)
    ):  # fmt: skip
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise WeightsError(
                f"{start.file or start.label} does not fit: it {fault} {', '.join(names[:3])}{more}. "
                + (
                    "Give weights of this very backbone, under upstream's own names."
                    if start.file
                    else "Tell its plugin."
                )
            )


def _fits(theirs: torch.Size, ours: torch.Size, *, in_head: bool) -> bool:
    """Compare shapes; the tensors of a head may have any number of outputs but none."""
    if in_head and theirs and theirs[0] > 0:
        return theirs[1:] == ours[1:]
    return theirs == ours


def _identity(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    """Tell aliases of one parameter apart from other tensors: a file needs to hold only one of them."""
    return tensor.data_ptr(), tuple(tensor.shape)


def is_finite(tensor: Tensor) -> bool:
    """Tell whether all its numbers are finite."""
    # A sum that is finite has finite terms, and takes a fraction of the time; one that is not may be too large.
    return bool(tensor.sum().isfinite() or tensor.isfinite().all())
