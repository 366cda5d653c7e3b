"""What training starts from: published weights, a file, or random ones; and how they come into the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from zoo.errors import OptionError, WeightsError
from zoo.models.head import Head, find_head, is_below, replace_head
from zoo.models.weights.locate import locate_weights, read_weights
from zoo.plugin import BackboneSpec, InputSpec, WeightsSpec
from zoo.plugin.fields import FILE_SUFFIXES
from zoo.progress import Progress
from zoo.registry.recipe import HeadDesign
from zoo.registry.registry import Resolved, find_weights


@dataclass(frozen=True)
class Start:
    """Where training starts from: published weights, a file, or random ones."""

    #: What the user sees: a tag, ``none`` or the name of a file.
    label: str
    #: The tag that the architecture is built for, if any.
    tag: str | None = None
    weights: WeightsSpec | None = None
    file: Path | None = None
    #: What a run's own file says of itself: its licence, and what of upstream's network it has replaced.
    file_licence: str | None = None
    file_lacks: tuple[str, ...] = ()

    @property
    def licence(self) -> str | None:
        """Licence of what is loaded, where it is known."""
        return self.weights.licence if self.weights else self.file_licence

    @property
    def lacks(self) -> tuple[str, ...]:
        """Parameter-name prefixes besides the head that the tensors lack or hold without meaning."""
        return self.weights.lacks if self.weights else self.file_lacks

    @property
    def is_random(self) -> bool:
        """Whether nothing is loaded."""
        return self.weights is None and self.file is None


def input_for(backbone: BackboneSpec, tag: str | None) -> InputSpec:
    """Return the input that weights of that tag expect, or the backbone's own."""
    weights = find_weights(backbone, tag) if tag else None
    return backbone.input if weights is None or weights.input is None else weights.input


def choose_start(resolved: Resolved, asked: str | None) -> Start:
    """Return what ``--weights`` means: ``DEFAULT``, a tag, ``none`` or a file; None: the name's tag, else ``DEFAULT``.

    Raises:
        NameNotFound: there are no such weights.
        OptionError: nothing was asked for, and the backbone has no published weights.
    """
    backbone = resolved.backbone
    if asked == "none":
        return Start("none", resolved.tag)
    if asked is not None and (asked.endswith(FILE_SUFFIXES) or "/" in asked):
        return _start_from_file(resolved, Path(asked).expanduser())
    if asked is None and resolved.tag is None and not backbone.weights:
        raise OptionError(
            f"{backbone.name} has no published weights; give a .safetensors file, or none for random ones."
        )
    weights = find_weights(backbone, asked or resolved.tag or "DEFAULT")
    return Start(weights.tag, weights.tag, weights=weights)


def read_start(start: Start, progress: Progress) -> Mapping[str, Tensor]:
    """Read the tensors that training starts from.

    Raises:
        WeightsError: they cannot be had, or the file is damaged.
    """
    if start.file is not None:
        return read_weights(start.file, sha256=None)
    if start.weights is None:
        return {}
    return read_weights(locate_weights(start.weights, progress), sha256=start.weights.sha256)


def load_tensors(backbone: BackboneSpec, model: nn.Module, start: Start, tensors: Mapping[str, Tensor]) -> list[str]:
    """Load tensors under upstream's keys into the model, strictly, all but its head.

    A head of another size than the model's is taken over with its size, one that is missing is left random.

    Returns:
        What the user should know, one line each.

    Raises:
        WeightsError: a tensor is missing, unknown, of another shape or not finite; nothing was loaded then.
    """
    tensors = _drop_meaningless(backbone, model, start, _convert(backbone, model, start, tensors))
    head = find_head(backbone, model)
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
    backbone: BackboneSpec, model: nn.Module, start: Start, tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    """Let upstream translate a file whose keys are not the model's."""
    default = backbone.default_weights
    tag = start.tag or (default.tag if default else None)
    if backbone.convert is None or tag is None or tensors.keys() <= model.state_dict().keys():
        return tensors
    return backbone.convert(tag, tensors)


def _drop_meaningless(
    backbone: BackboneSpec, model: nn.Module, start: Start, tensors: Mapping[str, Tensor]
) -> Mapping[str, Tensor]:
    has_head = start.weights is None or start.weights.num_classes is not None
    meaningless = start.lacks + (() if has_head else find_head(backbone, model).paths)
    return {name: tensor for name, tensor in tensors.items() if not any(is_below(name, path) for path in meaningless)}


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
    return counters | {name for name in names if any(is_below(name, path) for path in absent)}


def _refuse_misfits(
    start: Start, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], tolerance: _Tolerance
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
    infinite = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not _is_finite(tensor)]
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


def _is_finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())


def _start_from_file(resolved: Resolved, path: Path) -> Start:
    """Return a start from a file; one of a run says under which licence it is, and whether its head is upstream's."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        metadata = {}  # what is wrong with the file is said when it is read
    licence, head = (metadata.get(field, "").strip('"') for field in ("weights_licence", "head"))
    is_upstreams = head in ("", "linear")
    return Start(
        path.name,
        resolved.tag,
        file=path,
        file_licence=licence if licence not in ("", "none") else None,
        file_lacks=() if is_upstreams else _list_replaced(resolved.backbone),
    )


def _list_replaced(backbone: BackboneSpec) -> tuple[str, ...]:
    """List what an ``mlp`` head stands in place of, as far as that is known before the model is built."""
    if backbone.classifier is not None:
        return (backbone.classifier,)
    return () if callable(backbone.head) else backbone.head
