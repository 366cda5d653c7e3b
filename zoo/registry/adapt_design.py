"""How a model is adapted to each image before it predicts it, parsed once from the ``adapt`` option."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.errors import OptionError

#: Largest number of views and of steps.
MAX_VIEWS, MAX_STEPS = 1024, 100


@dataclass(frozen=True)
class AdaptDesign:
    """How a model is adapted to an image. `zoo.engine.adaptation` does it."""

    #: Number of augmented views of the image.
    views: int = 8
    #: Number of optimizer steps; 0 adapts only the statistics of batch norms.
    steps: int = 1
    #: Learning rate of these steps.
    lr: float = 0.001

    @classmethod
    def parse(cls, value: bool | str, option: str = "adapt") -> AdaptDesign | None:  # noqa: FBT001  # an option's value
        """Parse True for the defaults, False for None, or settings such as ``views=16,steps=2,lr=0.001``.

        Errors name the ``option``.

        Raises:
            OptionError: If a setting does not exist or has an invalid value.
        """
        if isinstance(value, bool):
            return cls() if value else None
        settings: dict[str, float] = {"views": cls.views, "steps": cls.steps, "lr": cls.lr}
        given: set[str] = set()
        for part in value.split(","):
            # The numbers have limited lengths, because Python refuses to convert very long ones.
            match = re.fullmatch(r"(views|steps|lr)=([0-9]{0,20}\.?[0-9]{1,20}(?:e-?[0-9]{1,2})?)", part.strip())
            if not match or match[1] in given:
                raise _explain(value, option)
            settings[match[1]] = float(match[2])
            given.add(match[1])
        views, steps, lr = settings.values()
        if not (views in range(1, MAX_VIEWS + 1) and steps in range(MAX_STEPS + 1) and 0 < lr <= 1):
            raise _explain(value, option)
        return cls(int(views), int(steps), lr)


def _explain(value: str, option: str) -> OptionError:
    return OptionError(
        f"invalid `{option}` {value!r}; use views=N from 1 to {MAX_VIEWS}, steps=N from 0 to {MAX_STEPS} and lr=X "
        "above 0 and up to 1, such as views=16,steps=2,lr=0.001."
    )
