"""Find a model in a file whose names have a prefix, such as ``module.`` or ``encoder.``.

Training scripts save the tensors of a larger module, of which the backbone is only a part. The names then begin with
the path of the backbone in that module. A prefix is used only if the tensors under it match the model exactly.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from zoo.errors import WeightsError
from zoo.models.head import Head, is_below
from zoo.models.weights.misfits import find_misfits, list_missing
from zoo.models.weights.shorten import shorten


@dataclass(frozen=True)
class Selection:
    """The tensors of a file that belong to the model."""

    #: The tensors, under their names without the prefix.
    tensors: Mapping[str, Tensor]
    #: The prefix, with its last dot; empty if there is none.
    prefix: str = ""
    #: Names of tensors in the file that are not under the prefix.
    left_out: tuple[str, ...] = ()
    #: Names of tensors that belong to a different kind of head, such as the projection head of a contrastive method.
    other_head: tuple[str, ...] = ()

    def list_notes(self, label: str) -> Iterator[str]:
        """List remarks for the user about a file with this name."""
        if self.prefix:
            rest = f"; the other tensors are not used: {shorten(self.left_out)}" if self.left_out else ""
            yield f"using the tensors of {label} under {self.prefix!r}, without this prefix{rest}"


def select_tensors(file: Path, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], head: Head) -> Selection:
    """Find the tensors of a model in a file that may contain more.

    Args:
        file: The file, for messages.
        state: The ``state_dict`` of the model.
        tensors: All tensors of the file.
        head: The head of the model.

    Returns:
        The tensors that match the model exactly. If none do, the tensors under the prefix with the most of the model's
        names.

    Raises:
        WeightsError: If the tensors under two prefixes match the model.
    """
    plain = select(tensors, "", head, state)
    if _fits(plain, head, state):
        return plain
    if not list_missing(state, tensors, head):
        return Selection(tensors)  # The file contains every tensor of the model, so any other mismatch is an error.
    counts = count_prefixes(tensors, state)
    # A few names of one network can occur in another by chance.
    least = max(counts[""] + 1, max(counts.values(), default=0) / 2, len(state) / 4)
    likely = [prefix for prefix, count in counts.items() if count >= least]
    selections = [select(tensors, prefix, head, state) for prefix in likely]
    fitting = [selection for selection in selections if _fits(selection, head, state)]
    if len(fitting) > 1:
        raise _make_ambiguous_error(file, sorted(selection.prefix for selection in fitting))
    closest = max(selections, key=lambda selection: counts[selection.prefix], default=None)
    return (fitting[0] if fitting else closest) or Selection(tensors)


def _fits(selection: Selection, head: Head, state: Mapping[str, Tensor]) -> bool:
    return not any(find_misfits(state, selection.tensors, head, ()).values())


def _make_ambiguous_error(file: Path, prefixes: Sequence[str]) -> WeightsError:
    command = f"zoo convert {shlex.quote(str(file))} OUTPUT.safetensors --prefix {shlex.quote(prefixes[0])}"
    return WeightsError(
        f"{file} contains several models that match the backbone, under {' and '.join(map(repr, prefixes))}; "
        f"choose one, for example with: {command}"
    )


def select(tensors: Mapping[str, Tensor], prefix: str, head: Head, state: Mapping[str, Tensor]) -> Selection:
    """Select the tensors under a prefix, except for a head that the model does not have."""
    below = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    left_out = tuple(name for name in tensors if not name.startswith(prefix))
    other_head = _list_other_head(below, head, state)
    return Selection({name: below[name] for name in below if name not in other_head}, prefix, left_out, other_head)


def count_prefixes(names: Iterable[str], known: Mapping[str, object]) -> Counter[str]:
    """Count, for each dotted prefix, the names that are known once the prefix is removed."""
    counts = Counter[str]()
    for name in names:
        parts = name.split(".")
        for index in range(len(parts)):
            if ".".join(parts[index:]) in known:
                counts["".join(f"{part}." for part in parts[:index])] += 1
    return counts


def _list_other_head(names: Iterable[str], head: Head, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """List the tensors under the path of a head if none of them belongs to the model's own head."""
    other: list[str] = []
    for path in (*head.paths, *head.aux_paths):
        below = [name for name in names if is_below(name, path)]
        other += below if state.keys().isdisjoint(below) else []
    return tuple(other)
