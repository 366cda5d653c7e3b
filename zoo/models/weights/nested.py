"""Find the tensors of a model in a file that contains more, such as the epoch and the optimizer state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import WeightsError
from zoo.models.weights.shorten import shorten

#: Keys under which training scripts save the weights themselves. Any other key, such as ``model_ema`` or ``teacher``,
#: is used only if there is no other choice, or if the user chooses it.
KEYS = frozenset(
    {"state_dict", "model_state_dict", "model_state", "model", "network", "net", "module", "weights", "params"}
)
#: Beginning of the keys under which training scripts save the state of an optimizer, which is never a model.
OPTIMIZER = "optim"
#: Maximum number of nested dicts, as in ``{"state": {"model": {...}}}``.
DEPTH = 3
#: Maximum number of keys that a message lists.
SHOWN = 10


@dataclass(frozen=True)
class Found:
    """The tensors of a model, and what else the file contains."""

    tensors: dict[str, Tensor]
    #: Dotted key under which the tensors are, such as ``state_dict``, or None if they are at the top level.
    key: str | None = None
    #: Other keys under which the file has tensors.
    others: tuple[str, ...] = ()
    #: Keys of everything that is neither in ``tensors`` nor under ``others``.
    left_out: tuple[str, ...] = ()


def find_tensors(source: str, content: Any, key: str | None = None) -> Found:
    """Find the tensors of a model.

    Args:
        source: Path of the file, for messages.
        content: What the file contains.
        key: Dotted key of the tensors; None to choose the only one, or the only one with a common name.

    Raises:
        WeightsError: If there are no tensors, or none under ``key``, or if ``key`` is None and there are several
            candidates.
    """
    candidates = dict(_list_candidates(content))
    if not candidates:
        raise WeightsError(f"{source} must contain named tensors; it {_describe(content)}")
    chosen = _choose(source, list(candidates), key)
    others = tuple(sorted(name for name in candidates if name != chosen))
    tensors = {
        name: value for name, value in candidates[chosen].items() if isinstance(name, str) and isinstance(value, Tensor)
    }
    top = {name.partition(".")[0] for name in candidates} if chosen else tensors.keys()
    left_out = tuple(str(name) for name in content if name not in top)
    inner = [f"{chosen}.{name}" for name in candidates[chosen] if chosen and name not in tensors]
    return Found(tensors, chosen or None, others, (*left_out, *inner))


def _choose(source: str, candidates: list[str], key: str | None) -> str:
    if key is not None:
        if key not in candidates:
            raise WeightsError(f"{source} has no tensors under the `key` {key!r}; {_describe_keys(candidates)}")
        return key
    usual = [name for name in candidates if KEYS.issuperset(name.split("."))]
    if len(candidates) == 1:
        return candidates[0]
    if len(usual) == 1:
        return usual[0]
    raise WeightsError(
        f"{source} contains several sets of weights; choose one with `key`: {shorten(candidates, SHOWN)}"
    )


def _describe_keys(candidates: list[str]) -> str:
    if candidates == [""]:
        return "its tensors are at the top level, so omit `key`"
    return f"choose from {shorten(candidates, SHOWN)}"


def _list_candidates(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (dotted key, dict) for each innermost dict of named tensors."""
    if not isinstance(content, Mapping):
        return
    named = {name: value for name, value in content.items() if isinstance(name, str)}
    inner: list[tuple[str, Mapping[str, Any]]] = []
    if len(path) < DEPTH:
        for name, value in named.items():
            if not name.lower().startswith(OPTIMIZER):
                inner += _list_candidates(value, (*path, name))
    if inner:
        yield from inner
    elif any(isinstance(value, Tensor) and value.ndim for value in named.values()):  # Scalars are metrics.
        yield ".".join(path), content


def _describe(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"is a {type(content).__name__}"
    if not content:
        return "is empty"
    return f"contains only {shorten(content, SHOWN)}"
