"""What a model was seen to do."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Pass:
    """One forward pass in eval mode, without values."""

    output: object
    #: ``id(parameter)`` -> its place in the order of first use.
    uses: dict[int, int]
    #: From a head's path to the shape of what entered it, once for each call.
    entered: dict[str, list[tuple[int, ...]]]


@dataclass(frozen=True)
class Answer:
    """What a network says in eval mode."""

    logits: Tensor
    #: From a head's path to what entered it.
    features: dict[str, Tensor]


@dataclass(frozen=True)
class Lesson:
    """What two steps of training did."""

    #: Parameters and buffers that are not what they were, bit for bit.
    moved: tuple[str, ...]
    #: Modules that are in training mode after it.
    awake: tuple[str, ...]
    #: Parameters that ask for gradients after it.
    thawed: tuple[str, ...]


def list_outputs(output: object) -> list[Tensor]:
    """List the logits that a model returns in training: a tensor, or several; None of a tuple is left out.

    Raises:
        TypeError: it returns something else.
    """
    outputs = list(output) if isinstance(output, (list, tuple)) else [output]
    found = [logits for logits in outputs if isinstance(logits, Tensor)]
    if len(found) != sum(logits is not None for logits in outputs):
        raise TypeError(f"it returns {type(output).__name__}, not logits or a tuple of them")
    return found
