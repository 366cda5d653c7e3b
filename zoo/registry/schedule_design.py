"""The learning rate schedule of a run, parsed once from the ``schedule`` option."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import OptionError

#: Kinds of schedules. ``step`` can be followed by a colon and two numbers.
SCHEDULES = ("onecycle", "cosine", "step", "plateau", "constant")
#: Number of epochs between two drops of ``step``, and the factor of each drop, as in PyTorch's transfer learning
#: tutorial.
STEP_SIZE, GAMMA = 7, 0.1
#: Number of epochs without improvement before the ``plateau`` schedule drops the learning rate.
PLATEAU = 2


@dataclass(frozen=True)
class ScheduleDesign:
    """The learning rate schedule of a run. `zoo.engine.schedule.Schedule` computes the learning rates."""

    #: One of `SCHEDULES`.
    kind: str
    #: Number of epochs between two drops, for ``step``; the ``step_size`` of torch's StepLR.
    step_size: int = STEP_SIZE
    #: Factor of each drop, for ``step``.
    gamma: float = GAMMA

    @classmethod
    def parse(cls, text: str) -> ScheduleDesign:
        """Parse a name in `SCHEDULES`, ``step:N``, or ``step:N,FACTOR``, such as ``step:7,0.1``.

        Raises:
            OptionError: If the string is none of them.
        """
        if text in SCHEDULES:
            return cls(text)
        # The numbers have limited lengths, because Python refuses to convert very long ones.
        match = re.fullmatch(r"step:([1-9][0-9]{0,6})(?:,([0-9]{0,20}\.?[0-9]{1,20}(?:e-?[0-9]{1,3})?))?", text)
        gamma = float(match[2] or GAMMA) if match else 0.0
        if match and 0 < gamma < 1:
            return cls("step", int(match[1]), gamma)
        raise OptionError(
            f"invalid `schedule` {text!r}; choose from {', '.join(SCHEDULES)}, or step:N,FACTOR, which multiplies the "
            f"learning rate by FACTOR, above 0 and below 1, every N epochs, such as step:{STEP_SIZE},{GAMMA}."
        )

    def require_patience(self, patience: int | None) -> None:
        """Raise OptionError if the run would end before ``plateau`` lowers the learning rate."""
        if self.kind == "plateau" and patience is not None and patience <= PLATEAU:
            raise OptionError(
                f"the plateau schedule lowers the learning rate after {PLATEAU} epochs without improvement, but a "
                f"`patience` of {patience} ends the run first; set `patience` to at least {PLATEAU + 1}."
            )

    def __str__(self) -> str:
        return f"step:{self.step_size},{self.gamma}" if self.kind == "step" else self.kind
