"""Parameters that should be trained, but that no gradient reached in the first step of a phase."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

#: Number of names that are recorded.
_LISTED = 12
#: Number of names in the note.
_SHOWN = 3


@dataclass(frozen=True)
class MissingGradients:
    """The parameters of a phase that no gradient reached."""

    #: Number of the phase; the first is 1.
    phase: int
    #: Numbers of parameter tensors and of parameters that no gradient reached.
    tensors: int
    params: int
    #: Number of all parameters that should be trained in the phase.
    learning: int
    #: Names of the first of these tensors.
    names: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.names[:_SHOWN]) + (", ..." if self.tensors > _SHOWN else "")
        return (
            f"in the first step, no gradient reached {self.params:,} of the {self.learning:,} parameters to be trained "
            f"({self.tensors} tensor{'s' * (self.tensors != 1)}: {shown}); without one, they do not change"
        )


def find_missing_gradients(model: nn.Module, trained: Iterable[nn.Parameter], phase: int) -> MissingGradients | None:
    """Return the trained parameters that have no gradient after a step, or None if all have one.

    Args:
        model: The model, which knows the names of the parameters.
        trained: The parameters of the optimizer. In runs with several processes, their gradients are already summed.
        phase: Number of the phase; the first is 1.
    """
    parameters = [*trained]
    missing = {id(parameter): parameter for parameter in parameters if parameter.grad is None}
    if not missing:
        return None
    names = [name for name, parameter in model.named_parameters() if id(parameter) in missing]
    return MissingGradients(
        phase=phase,
        tensors=len(missing),
        params=sum(parameter.numel() for parameter in missing.values()),
        learning=sum(parameter.numel() for parameter in parameters),
        names=tuple(names[:_LISTED]),
    )
