"""The optimizer of a run with its own options, parsed once, and the defaults that depend on the optimizer."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.errors import OptionError

#: Options that only some optimizers have, by optimizer.
OPTIONS = {"adamw": ("betas", "eps"), "adam": ("betas", "eps"), "sgd": ("momentum", "nesterov")}
OPTIMIZERS = tuple(OPTIONS)

#: Learning rates of a new linear layer on frozen features, by optimizer.
HEAD_LR = {"adam": 5e-3, "adamw": 5e-3, "sgd": 5e-2}
#: Learning rates of an MLP head, by optimizer. With the learning rates of a linear layer, training is unstable.
MLP_LR = {"adam": 5e-4, "adamw": 5e-4, "sgd": 5e-3}
#: Learning rates of a pretrained network, by optimizer.
BACKBONE_LR = {"adam": 3e-4, "adamw": 3e-4, "sgd": 1e-2}
#: Weight decay by optimizer. In AdamW, the decay does not depend on the size of the gradients.
DECAY = {"adam": 0.0, "adamw": 0.01, "sgd": 1e-4}
#: Default momentum of SGD.
MOMENTUM = 0.9
#: torch's default betas and eps of Adam and AdamW.
BETAS, EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class OptimizerDesign:
    """The optimizer of a run, with the options that only some optimizers have."""

    #: One of `OPTIMIZERS`.
    name: str
    #: Momentum of SGD.
    momentum: float = MOMENTUM
    #: Whether SGD uses Nesterov momentum.
    nesterov: bool = False
    #: Decay rates of the averages of the gradient and of its square, in Adam and AdamW.
    betas: tuple[float, float] = BETAS
    #: Number that Adam and AdamW add to the denominator.
    eps: float = EPS

    @classmethod
    def parse(
        cls, name: str, *, momentum: float | None, nesterov: bool, betas: str | None, eps: float | None
    ) -> OptimizerDesign:
        """Combine the options; None means the default.

        Raises:
            OptionError: If an option has no effect with this optimizer, or if a value is invalid.
        """
        given = {"momentum": momentum, "nesterov": nesterov or None, "betas": betas, "eps": eps}
        for option, value in given.items():
            if value is not None and option not in OPTIONS[name]:
                _refuse(option, name)
        if nesterov and momentum == 0:
            raise OptionError("`nesterov` needs momentum; set `momentum` above 0, or leave it out.")
        if eps == 0:
            raise OptionError("eps must be above 0; with 0, a weight without a gradient would become NaN.")
        return cls(
            name,
            MOMENTUM if momentum is None else momentum,
            nesterov,
            BETAS if betas is None else _parse_betas(betas),
            EPS if eps is None else eps,
        )

    def list_decided(self) -> dict[str, float | str | None]:
        """Return the values in use of the options that have no default; None if this optimizer lacks an option."""
        betas = ",".join(map(str, self.betas))
        values: dict[str, float | str] = {"momentum": self.momentum, "betas": betas, "eps": self.eps}
        return {option: value if option in OPTIONS[self.name] else None for option, value in values.items()}


def _refuse(option: str, name: str) -> None:
    own = " and ".join(f"`{option}`" for option in OPTIONS[name])
    others = " or ".join(other for other in OPTIMIZERS if option in OPTIONS[other])
    raise OptionError(
        f"`{option}` has no effect with {name}, which has {own}; leave it out, or set `optimizer` to {others}."
    )


def _parse_betas(text: str) -> tuple[float, float]:
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = 1.0
    if not (0 <= first < 1 and 0 <= second < 1):  # also refuses NaN
        raise OptionError(f"`betas` must be two numbers, at least 0 and below 1, such as 0.9,0.999, got {text!r}.")
    return first, second
