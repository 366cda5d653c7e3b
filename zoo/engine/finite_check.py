"""The check that the loss and the gradients are finite before an optimizer step changes the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from zoo.engine.learner import Learner
from zoo.errors import NotFinite
from zoo.models.sharding import is_sharded


@contextmanager
def requiring_finite(learner: Learner, is_finite: Tensor, describe: Callable[[], str]) -> Iterator[None]:
    """Return a context for an optimizer step that must not be taken unless a tensor is True.

    Reading the tensor makes a GPU wait until the next kernels are launched. Fused Adam optimizers can read it on the
    device and skip the step there, so here it is read only after their step has been launched.

    Args:
        learner: Learner whose optimizer takes the step within the context.
        is_finite: Whether the loss and the gradients are finite, of shape ().
        describe: Function that describes the loss and the gradients. It is called if they are not finite.

    Raises:
        NotFinite: If the tensor is False. The optimizer has not changed the weights.
    """
    optimizer = learner.optimizer
    skips_itself = _can_skip(learner)
    if not skips_itself:
        _check(is_finite, describe)
        yield
        return
    optimizer.found_inf = (~is_finite).float()  # type: ignore[attr-defined]  # as torch's GradScaler sets it
    try:
        yield
    finally:
        del optimizer.found_inf  # type: ignore[attr-defined]
    _check(is_finite, describe)


def _can_skip(learner: Learner) -> bool:
    """Return whether the optimizer itself can skip a step.

    SGD leaves its momentum uninitialized if it skips the first step. With fp16, the scaler controls what is skipped.
    """
    is_adam = isinstance(learner.optimizer, torch.optim.Adam) and learner.optimizer.defaults["fused"]
    is_supported = learner.hardware.device.type in ("cpu", "cuda") and not is_sharded(learner.model)
    return bool(is_adam) and is_supported and not learner.scaler.is_enabled()


def _check(is_finite: Tensor, describe: Callable[[], str]) -> None:
    if not is_finite:
        raise NotFinite(describe())
