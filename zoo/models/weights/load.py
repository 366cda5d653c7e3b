"""Loads the initial weights into a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from zoo.errors import PluginError, WeightsError
from zoo.models.head import Head, get_head, is_below, is_below_any, replace_head
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.locate import locate_weights
from zoo.models.weights.read import read_weights
from zoo.plugin import BackboneSpec
from zoo.progress import Progress
from zoo.registry.head_design import HeadDesign
from zoo.registry.plugins.isolation import naming_place
from zoo.registry.plugins.place import find_definition


def read_start(source: WeightsSource, progress: Progress) -> Mapping[str, Tensor]:
    """Read the initial weights, and download them if necessary.

    Returns:
        The tensors by name, under the names in the file; empty for random weights.

    Raises:
        WeightsError: If the file is missing, is damaged or cannot be downloaded.
    """
    if source.file is not None:
        return read_weights(source.file, sha256=None)
    if source.weights is None:
        return {}
    return read_weights(locate_weights(source.weights, progress), sha256=source.weights.sha256)


def load_tensors(
    backbone: BackboneSpec, model: nn.Module, source: WeightsSource, tensors: Mapping[str, Tensor]
) -> list[str]:
    """Load tensors into upstream's model.

    The tensors must match the model exactly, except for its head. If the head in the file has a different number of
    classes, the model's head is resized to match. A head that is missing from the file stays random.

    Args:
        backbone: The backbone of the model.
        model: The model, which is changed in place.
        source: Where the tensors come from.
        tensors: The tensors by name, under the names in the file.

    Returns:
        Remarks for the user, one line each.

    Raises:
        WeightsError: If a tensor is missing, is unknown, has a different shape or is not finite. The model is then
            unchanged.
        PluginError: If the plugin fails to convert the names of the tensors.
    """
    head = get_head(backbone, model)
    has_head = source.weights is None or source.weights.num_classes is not None
    unusable = source.lacks if has_head else (*source.lacks, *head.paths)
    tensors = {
        name: tensor
        for name, tensor in _convert(backbone, model, source, tensors).items()
        if not is_below_any(name, unusable)
    }
    _refuse_misfits(source, model.state_dict(), tensors, head)
    notes = list(_fit_head(backbone, model, head, tensors))
    if source.header:
        notes = []  # `carry_over_head` reports which part of the head is kept.
    # Loading over the model's own state_dict keeps its version metadata. Without it, some upstream modules (MNASNet,
    # BatchNorm) would treat the tensors as those of an older version.
    state = model.state_dict()
    state.update(tensors)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # a head whose weight and bias have different numbers of outputs
        raise WeightsError(f"{source.file or source.label} does not match the backbone: {error}") from error
    if source.lacks and not source.header:
        notes.append(f"{source.label} has no usable values for {', '.join(source.lacks)}, which stays random")
    return notes


def _convert(
    backbone: BackboneSpec, model: nn.Module, source: WeightsSource, tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Map the names in a file to those of the model, if they differ."""
    default = backbone.default_weights
    tag = source.tag or (default.tag if default else None)
    if source.header or backbone.convert is None or tag is None or tensors.keys() <= model.state_dict().keys():
        return tensors
    with naming_place(f"{backbone.name} cannot convert the tensors of {source.file or source.label}"):
        converted = backbone.convert(tag, tensors)
    are_tensors = isinstance(converted, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in converted.items()
    )
    if not are_tensors:
        place = find_definition(backbone.convert)
        raise PluginError(f"convert(){place} of {backbone.name} must return a mapping from names to tensors.")
    return converted


def _fit_head(backbone: BackboneSpec, model: nn.Module, head: Head, tensors: Mapping[str, Tensor]) -> Iterable[str]:
    """Resize the model's head to the number of classes in the file."""
    path = head.paths[0]
    weight = tensors.get(f"{path}.weight")
    if weight is None:
        yield "these weights have no head; the head is initialized randomly, like any new head"
        return
    classes = weight.shape[0]
    if classes != len(model.get_parameter(f"{path}.weight")):
        replace_head(backbone, model, classes, HeadDesign())
        yield f"the head of these weights has {classes} classes"


def _refuse_misfits(
    source: WeightsSource, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: Head
) -> None:
    faults = {
        "lacks": _list_missing(source, state, tensors, head),
        "has the unknown tensors": [name for name in tensors if name not in state],
        "has different shapes:": [
            f"{name} is {tuple(tensors[name].shape)}, not {tuple(state[name].shape)}"
            for name in tensors
            if name in state and not _fits(tensors[name].shape, state[name].shape, in_head=head.covers(name))
        ],
        **find_unusable(tensors, state),
    }
    for fault, names in faults.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            advice = (
                "Pass weights of this backbone, with upstream's own parameter names."
                if source.file
                else "Report this to the author of its plugin."
            )
            raise WeightsError(
                f"{source.file or source.label} does not match the backbone: "
                f"it {fault} {', '.join(names[:3])}{more}. {advice}"
            )


def _list_missing(
    source: WeightsSource, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: Head
) -> list[str]:
    """List the required names that a file lacks.

    A file may lack an entire head, the parameters that it is declared to lack, and the ``num_batches_tracked`` counters
    of batch norms, which older files do not contain. It needs only one of the names of a parameter that has several.
    """
    heads = (*head.paths, *head.aux_paths)
    absent_heads = [path for path in heads if not any(is_below(name, path) for name in tensors)]
    optional = (*absent_heads, *source.lacks)
    present = {_identity(state[name]) for name in tensors if name in state}
    return [
        name
        for name in state
        if _identity(state[name]) not in present
        and not name.endswith("num_batches_tracked")
        and not is_below_any(name, optional)
    ]


def _fits(theirs: torch.Size, ours: torch.Size, *, in_head: bool) -> bool:
    """Compare two shapes. Those in a head can have any positive number of outputs."""
    if in_head and theirs and theirs[0] > 0:
        return theirs[1:] == ours[1:]
    return theirs == ours


def _identity(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    """Return a value that is equal for two names of the same parameter."""
    return tensor.data_ptr(), tuple(tensor.shape)


def find_unusable(tensors: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names of tensors whose values cannot be loaded, by fault.

    Args:
        tensors: Tensors to load.
        state: The ``state_dict`` of the model. A buffer that is infinite there, such as a mask, may be infinite.
    """
    known = [name for name in tensors if name in state]
    return {
        "has the wrong kind of numbers (integer or float) in": [
            name for name in known if tensors[name].is_floating_point() != state[name].is_floating_point()
        ],
        "has non-finite values in": [name for name in known if not is_finite(tensors[name]) and is_finite(state[name])],
    }


def is_finite(tensor: Tensor) -> bool:
    """Return whether all values of a tensor are finite."""
    # A finite sum proves that every value is finite, and is 20 times as fast: 0.06 s instead of 1.6 s for VGG16 on two
    # cores. A sum of finite values may overflow, so an infinite sum needs the full check.
    return bool(tensor.sum().isfinite() or tensor.isfinite().all())
