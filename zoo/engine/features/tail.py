"""What of a network learns, run alone on what the frozen part gives; and the proof that it gives the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import is_out_of_memory
from zoo.models.freeze import Frozen

#: How far logits may be from those of the whole network, as a share of the largest one. They come from the same layers
#: and the same numbers; only kernels for another layout may round otherwise.
TOLERANCE = 1e-4
#: The same where a GPU computes in less than fp32: for fewer images than before it may take another kernel.
HALF_TOLERANCE = 2e-2
#: The same of gradients, each by its own largest number.
GRADIENT_TOLERANCE = 1e-2


def fork_generators(device: torch.device) -> AbstractContextManager[None]:
    """Leave torch's generators, of the processor and of the device, as they are until the block is over."""
    # Of all GPUs, if none is named; and torch warns where there are several.
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


class CannotSplit(Exception):
    """What learns cannot be run on its own; the message says why."""


class Tail(nn.Module, ABC):
    """What of a network learns, run on features: rows of numbers, one for each image.

    It is made of the network's own modules: what learns here has learned there.
    """

    #: Where in the network they are taken, by the paths of its modules.
    where: str

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers that an image comes to."""

    @abstractmethod
    def take(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the network, in eval mode, as far as the features, and return them: of shape (N, width)."""

    @abstractmethod
    def forward(self, features: Tensor) -> Any:
        """From features of shape (N, width) to logits of shape (N, classes), or logits and auxiliary ones."""


def prove_logits(rest: Tail, model: nn.Module, frozen: Frozen, images: Tensor) -> None:
    """Compare the logits in eval mode, and those while it learns: then the dropouts must draw alike as well.

    In between, the network sees the images in another order: what it keeps of those before must not matter.

    Raises:
        CannotReplay: they differ, or it cannot run alone.
    """
    model.eval()
    features = rest.take(model, images)
    # Of the measured ones fewer, for what is there in another number than images must not pass for them.
    of_fewer = HALF_TOLERANCE if images.is_cuda and torch.is_autocast_enabled("cuda") else TOLERANCE
    for prepare, count, tolerance in (
        (model.eval, max(1, len(images) - 1), of_fewer),
        (frozen.train, len(images), TOLERANCE),
    ):
        prepare()
        torch.manual_seed(0)
        wanted = list_logits(model(images))
        model(images.flip(0))
        torch.manual_seed(0)
        found = list_logits(_run(rest, features[:count].clone()))
        # Auxiliary logits only count where they are given: heads alone learn without them.
        if not all(are_close(one, other[:count], tolerance) for one, other in zip(found, wanted, strict=False)):
            raise CannotSplit("alone, what learns gives other logits than the network")


def prove_gradients(rest: Tail, model: nn.Module, frozen: Frozen, images: Tensor) -> None:
    """Compare what every parameter that learns would learn: one may be used where the logits do not show it yet.

    Raises:
        CannotReplay: they differ.
    """
    model.eval()
    features = rest.take(model, images)
    try:
        wanted = _compute_gradients(model, frozen, lambda: model(images))
        found = _compute_gradients(model, frozen, lambda: _run(rest, features))
    finally:
        model.zero_grad(set_to_none=True)
    odd = wanted.keys() ^ found.keys()
    odd |= {
        name for name in wanted.keys() & found.keys() if not are_close(found[name], wanted[name], GRADIENT_TOLERANCE)
    }
    if odd:
        raise CannotSplit(f"alone, {min(odd)} would learn something else than in the network")


def _compute_gradients(model: nn.Module, frozen: Frozen, run: Callable[[], Any]) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    frozen.train()
    torch.manual_seed(0)
    torch.clear_autocast_cache()  # whose copies of the weights were made while no gradient was asked for
    with torch.enable_grad():
        total = torch.stack([_weigh(logits) for logits in list_logits(run())]).sum()
        total.backward()  # type: ignore[no-untyped-call]  # torch's own
    torch.clear_autocast_cache()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def _weigh(logits: Tensor) -> Tensor:
    """Return a sum in which every logit counts for something else."""
    flat = logits.float().flatten()
    return (flat * torch.linspace(0.5, 1.5, len(flat), device=flat.device)).sum()


def _run(rest: Tail, features: Tensor) -> Any:
    try:
        return rest(features)
    except Exception as error:  # whatever a network makes of less than the whole
        if is_out_of_memory(error):
            raise
        raise CannotSplit(f"after {rest.where} it cannot run alone: {error}") from error


def list_logits(output: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """List the logits and the auxiliary ones of what a network gives."""
    return [output] if isinstance(output, Tensor) else output


def are_close(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Tell whether tensors are the same but for rounding; the tolerance is a share of the largest number."""
    if found.shape != wanted.shape:
        return False
    scale = wanted.float().abs().max().item()
    return torch.allclose(found.float(), wanted.float(), rtol=0, atol=tolerance * scale)


@contextmanager
def buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put all buffers back as they were: a pass in training mode moves the statistics of what learns."""
    before = [
        (module, name, buffer, buffer if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()  # noqa: SLF001  # the only way to those that are None
    ]
    try:
        yield
    finally:
        for module, name, buffer, values in before:
            if buffer is not None and values is not None:
                buffer.copy_(values)
            setattr(module, name, buffer)  # it may have been replaced, or filled for the first time
