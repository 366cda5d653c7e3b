"""Promises of freezing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from zoo.models.head import is_below
from zoo.testing.backbone_under_test import NUM_CLASSES
from zoo.testing.results.result import CheckFailed
from zoo.testing.training_steps import freeze, learn

if TYPE_CHECKING:
    from zoo.testing.backbone_under_test import Subject


def still(subject: Subject) -> None:
    """With the head alone learning, by zoo's own engine."""
    leaks = [name for name in learn(subject, "head").moved if not subject.network.head.covers(name)]
    if leaks:
        raise CheckFailed(
            f"with its head alone learning, the frozen {', '.join(leaks[:3])} ({len(leaks)} in all) moved; "
            "let forward() change nothing in eval mode."
        )


def sticky(subject: Subject) -> None:
    """After two steps with the head alone learning: ``train()`` was called, and forward passes were made."""
    lesson, head = learn(subject, "head"), subject.network.head
    modules = dict(subject.network.model.named_modules())
    thawed = [name for name in lesson.thawed if not head.covers(name)]
    awake = [name for name in lesson.awake if _is_frozen(subject, name, modules[name])]
    if thawed or awake:
        what = f"{thawed[0]} asks for a gradient" if thawed else f"{awake[0]} is in training mode"
        raise CheckFailed(f"in training the frozen {what}; do not override train(), or call it in forward().")


def reversible(subject: Subject) -> None:
    """From the head alone to everything, and compared with a model that never was frozen."""
    model = subject.network.model
    before = _describe(subject.get_spare(NUM_CLASSES)[0])
    freeze(subject, "head").train()
    frozen = _describe(model)
    freeze(subject, "all").train()
    after = _describe(model)
    for when, found in (("freezing", frozen), ("unfreezing", after)):
        if odd := sorted(name for name in before.keys() | found.keys() if before.get(name) != found.get(name)):
            raise CheckFailed(f"{when} changes {', '.join(odd[:3])}; leave modules and names as they are.")
    still_frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    asleep = [name for name, module in model.named_modules() if not module.training]
    if still_frozen or asleep:
        what = ", ".join((still_frozen + asleep)[:3])
        raise CheckFailed(f"after unfreezing, {what} is still frozen; do not override train() or requires_grad_().")


def _is_frozen(subject: Subject, name: str, module: nn.Module) -> bool:
    """Whether the module has tensors of its own, and no part of it learns."""
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    holds_head = not name or any(is_below(path, name) or is_below(name, path) for path in subject.network.head.paths)
    return bool(own) and not holds_head


def _describe(model: nn.Module) -> dict[str, str]:
    """Map each module's and each saved tensor's name to its class, by name: some builders make classes of their own."""
    modules = {f"module {name}": _name_class(module) for name, module in model.named_modules()}
    return {**modules, **{name: _name_class(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}}


def _name_class(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
