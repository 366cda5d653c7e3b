"""Promises of learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.engine.loop import Criterion
from zoo.errors import TrainingError
from zoo.head import is_below
from zoo.testing.results import CheckFailed
from zoo.testing.training import draw_labels, freeze, learn

if TYPE_CHECKING:
    from zoo.testing.subject import Subject


def head(subject: Subject) -> None:
    """``--train head``, by zoo's own engine."""
    try:
        moved = learn(subject, "head").moved
    except (RuntimeError, TrainingError) as error:
        raise CheckFailed(f"its head cannot be trained: {error}") from error
    for path in subject.network.head.paths:
        if not any(is_below(name, path) for name in moved):
            raise CheckFailed(f"two steps of training leave the head {path} as it was; let gradients reach it.")


def all(subject: Subject) -> None:  # noqa: A001  # a check's name
    """``--train all``: one pass backwards."""
    subject.forget_answer()  # batch norms take in what they see
    freeze(subject, "all").train()
    model, head = subject.network.model, subject.network.head
    criterion = Criterion(aux_weight=subject.backbone.aux_weight)
    loss, _ = criterion(model(subject.images), draw_labels(subject))
    model.zero_grad(set_to_none=True)
    try:
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    except RuntimeError as error:
        raise CheckFailed(f"it cannot be trained: {error}") from error
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    infinite = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    model.zero_grad(set_to_none=True)
    if missing:
        cure = (
            "give aux_weight"
            if head.aux_paths and not subject.backbone.aux_weight
            else "use it in forward(), or drop it"
        )
        raise CheckFailed(f"{', '.join(missing[:3])} ({len(missing)} in all) gets no gradient; {cure}.")
    if infinite:
        raise CheckFailed(f"the gradient of {', '.join(infinite[:3])} ({len(infinite)} in all) is not finite.")
