"""Run a model once, without computing any values where possible, and record which of its modules run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zoo.models.parameter_order import FirstUses

#: Shape of a tensor, including the batch.
Shape = tuple[int, ...]


class CannotTrace(Exception):
    """Raised when a model cannot process the images; the message says why."""


@dataclass(frozen=True)
class Trace:
    """The record of one forward pass in eval mode."""

    #: What the model returned.
    output: object
    #: Number of calls of each module; modules that were never called are absent.
    calls: Mapping[nn.Module, int]
    #: Shapes of the tensors that the first call of each module returned.
    shapes: Mapping[nn.Module, tuple[Shape, ...]]
    #: Modules in the order in which they were first called.
    order: Sequence[nn.Module]
    #: Position of each used parameter in the order of first use, by name.
    uses: Mapping[str, int]


@dataclass
class _Record:
    calls: dict[nn.Module, int] = field(default_factory=dict)
    shapes: dict[nn.Module, tuple[Shape, ...]] = field(default_factory=dict)

    def enter(self, module: nn.Module, _inputs: object) -> None:
        """Count a call."""
        self.calls[module] = self.calls.get(module, 0) + 1

    def leave(self, module: nn.Module, _inputs: object, output: object) -> None:
        """Keep the shapes of the first call."""
        self.shapes.setdefault(module, tuple(_list_shapes(output)))


def trace(model: nn.Module, images: Tensor) -> Trace:
    """Run a model in eval mode on some images, and record its modules.

    The model runs on the meta device, where tensors have no values, so that even a large network takes no time. If this
    fails, for example because its forward pass depends on values, the model runs on its own device. Its parameters,
    buffers, modes and hooks are unchanged afterward.

    Args:
        model: The model, on any device.
        images: Images of shape (N, C, H, W); only a run with values uses theirs.

    Raises:
        CannotTrace: If the model cannot process the images.
    """
    try:
        return _run(model, images, lambda tensor: tensor.to("meta"))
    except Exception as error:  # a model may raise anything on the meta device
        if any(tensor.is_meta for tensor in _list_tensors(model).values()):
            raise CannotTrace(_describe(error)) from error
    try:
        return _run(model, images, torch.clone)
    except Exception as error:  # a model may raise anything
        raise CannotTrace(_describe(error)) from error


@torch.no_grad()
def _run(model: nn.Module, images: Tensor, change: Callable[[Tensor], Tensor]) -> Trace:
    """Run a model with changed copies of its tensors."""
    tensors = {name: change(tensor) for name, tensor in _list_tensors(model).items()}
    device = next((tensor.device for tensor in tensors.values()), change(images).device)
    record, uses = _Record(), FirstUses(tensors[name] for name, _ in model.named_parameters())  # type: ignore[misc]
    with ExitStack() as stack:
        stack.enter_context(_in_eval_mode(model))
        stack.enter_context(torch.random.fork_rng([]))
        for module in model.modules():
            stack.enter_context(module.register_forward_pre_hook(record.enter))
            stack.enter_context(module.register_forward_hook(record.leave))
        with uses:
            output = functional_call(model, tensors, (images.to(device),))
    names = {id(tensors[name]): name for name, _ in model.named_parameters()}
    order = {names[number]: place for number, place in uses.order.items()}
    return Trace(output, record.calls, record.shapes, tuple(record.calls), order)


def _list_tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Return a context in which a model is in eval mode; afterward, each module is in its own mode again."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _list_shapes(output: Any) -> Iterator[Shape]:
    if isinstance(output, Tensor):
        yield tuple(output.shape)
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _list_shapes(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from _list_shapes(value)


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
