"""Load the initial weights into a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from zoo.errors import WeightsError
from zoo.models.head import Head, get_head, is_below_any, replace_head
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.converting import convert_tensors, needs_conversion
from zoo.models.weights.locate import locate_weights
from zoo.models.weights.misfits import find_misfits, find_unusable, list_misshapen
from zoo.models.weights.prefix import Selection, select_tensors
from zoo.models.weights.read import read_weights
from zoo.models.weights.shorten import shorten
from zoo.plugin import BackboneSpec
from zoo.progress import Progress
from zoo.registry.head_design import HeadDesign
from zoo.registry.pin import find_digest


@dataclass(frozen=True)
class Loaded:
    """How tensors were loaded into a model."""

    #: Remarks for the user, one line each.
    notes: tuple[str, ...]
    #: Prefix that the names in the file have and those in the model do not; usually empty.
    prefix: str = ""


def read_initial_tensors(source: WeightsSource, progress: Progress) -> Mapping[str, Tensor]:
    """Read the initial weights, and download them if necessary.

    Returns:
        The tensors by name, under the names in the file; empty for random weights.

    Raises:
        WeightsError: If the file is missing, is damaged or cannot be downloaded.
    """
    if source.file is not None:
        return read_weights(source.file, digest=None)
    if source.weights is None:
        return {}
    return read_weights(locate_weights(source.weights, progress), digest=find_digest(source.weights))


def load_tensors(
    backbone: BackboneSpec, model: nn.Module, source: WeightsSource, tensors: Mapping[str, Tensor]
) -> Loaded:
    """Load tensors into upstream's model.

    The tensors must match the model exactly, except for its head. If the head in the file has a different number of
    classes, the model's head is resized to match. A head that is missing from the file stays random. If the
    user passed a file in which only the tensors under one prefix match the model, these are loaded.

    Args:
        backbone: The backbone of the model.
        model: The model, which is changed in place.
        source: Where the tensors come from.
        tensors: The tensors by name, under the names in the file.

    Raises:
        WeightsError: If a tensor is missing, is unknown, has a different shape or is not finite. The model is then
            unchanged.
        PluginError: If the plugin fails to convert the names of the tensors.
    """
    head = get_head(backbone, model)
    has_head = source.weights is None or source.weights.num_classes is not None
    unusable = source.lacks if has_head else (*source.lacks, *head.paths)
    selection = _select(source, model, head, tensors)
    tensors = {
        name: tensor
        for name, tensor in _convert(backbone, model, source, selection, head).items()
        if not is_below_any(name, unusable)
    }
    selection = replace(selection, tensors=tensors)
    _refuse_misfits(source, model.state_dict(), selection, head)
    notes = [*selection.list_notes(source.label), *_fit_head(backbone, model, head, selection)]
    if source.header:
        notes = []  # `carry_over_head` reports which part of the head is kept.
    # Loading over the model's own state_dict keeps its version metadata. Without it, some upstream modules (MNASNet,
    # BatchNorm) would treat the tensors as if an older version had saved them.
    state = model.state_dict()
    if odd := list_misshapen(state, tensors):  # a head whose weight and bias have different numbers of outputs
        raise WeightsError(f"{source.file or source.label} does not match the backbone: {shorten(odd)}.")
    state.update(tensors)
    model.load_state_dict(state)
    if source.lacks and not source.header:
        notes.append(f"{source.label} has no usable values for {', '.join(source.lacks)}, which stays random")
    return Loaded(tuple(notes), selection.prefix)


def _select(source: WeightsSource, model: nn.Module, head: Head, tensors: Mapping[str, Tensor]) -> Selection:
    """Select the tensors of the model. Only files from other programs have a prefix, or a different kind of head."""
    if source.file is None or source.header is not None:
        return Selection(tensors)
    return select_tensors(source.file, model.state_dict(), tensors, head)


def _convert(
    backbone: BackboneSpec, model: nn.Module, source: WeightsSource, selection: Selection, head: Head
) -> Mapping[str, Tensor]:
    """Map the names in a file to the model's names, if they differ."""
    if not needs_conversion(backbone, model, source, selection.tensors):
        return selection.tensors
    try:
        return convert_tensors(backbone, model, source, selection.tensors)
    except WeightsError:
        # The tensors belong to a different backbone. This error names them, as for a backbone that converts nothing.
        _refuse_misfits(source, model.state_dict(), selection, head)
        raise


def _fit_head(backbone: BackboneSpec, model: nn.Module, head: Head, selection: Selection) -> Iterable[str]:
    """Resize the model's head to the number of classes in the file."""
    path = head.paths[0]
    weight = selection.tensors.get(f"{path}.weight")
    if weight is None:
        which = "have a different head" if selection.other_head else "have no head"
        listed = f" ({shorten(selection.other_head)})" if selection.other_head else ""
        yield f"these weights {which}{listed}; the head is initialized randomly, like any new head"
        return
    classes = weight.shape[0]
    if classes != len(model.get_parameter(f"{path}.weight")):
        replace_head(backbone, model, classes, HeadDesign())
        yield f"the head of these weights has {classes} classes"


def _refuse_misfits(source: WeightsSource, state: Mapping[str, Tensor], selection: Selection, head: Head) -> None:
    tensors = selection.tensors
    faults = {**find_misfits(state, tensors, head, source.lacks), **find_unusable(tensors, state)}
    for fault, names in faults.items():
        if names:
            advice = (
                "Pass weights for this backbone, with upstream's own parameter names."
                if source.file
                else "Report this to the author of its plugin."
            )
            where = f"under {selection.prefix!r}, " if selection.prefix else ""
            raise WeightsError(
                f"{source.file or source.label} does not match the backbone: "
                f"{where}it {fault} {shorten(names)}. {advice}"
            )
