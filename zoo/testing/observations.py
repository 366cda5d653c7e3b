"""What a model was seen to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class MetaPass:
    """One forward pass in eval mode, on the meta device."""

    output: object
    #: ``id(parameter)`` -> its place in the order of first use.
    uses: dict[int, int]
    #: From a head's path to what entered it, once for each call.
    entered: dict[str, list[Tensor]]


@dataclass(frozen=True)
class Prediction:
    """What a network makes of images in eval mode."""

    logits: Tensor
    #: From a head's path to what entered it, once for each call.
    features: dict[str, list[Tensor]]


@contextmanager
def recorded_inputs(model: nn.Module, paths: Iterable[str]) -> Iterator[dict[str, list[Tensor]]]:
    """Record what enters modules while the model runs, by their paths."""
    inputs: dict[str, list[Tensor]] = {path: [] for path in paths}
    hooks = [
        model.get_submodule(path).register_forward_pre_hook(
            lambda _module, given, path=path: inputs[path].append(given[0].clone())
        )
        for path in inputs
    ]
    try:
        yield inputs
    finally:
        for hook in hooks:
            hook.remove()


def list_outputs(output: object) -> list[Tensor]:
    """List the logits that a model gives in training: a tensor, or several; None among several is left out.

    Raises:
        TypeError: it gives something else.
    """
    outputs = [one for one in (output if isinstance(output, (list, tuple)) else [output]) if one is not None]
    logits = [one for one in outputs if isinstance(one, Tensor)]
    if len(logits) != len(outputs):
        raise TypeError(f"it returns {type(output).__name__}, not logits or a tuple of them")
    return logits
