"""Run only the trainable part of a network on cached features, and verify that this does not change training."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import NotFinite, is_out_of_memory
from zoo.models.freeze import Frozen

#: Largest difference between the logits of the tail and of the full network, as a fraction of the largest logit. The
#: same layers compute the same numbers, but a kernel for a different memory layout may round differently.
TOLERANCE = 1e-4
#: The corresponding tolerance for autocast on a GPU, which may choose a different kernel for a smaller batch.
AUTOCAST_TOLERANCE = 2e-2
#: The corresponding tolerance for each gradient, as a fraction of its largest element.
GRADIENT_TOLERANCE = 1e-2


def fork_generators(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that restores torch's random number generators, on the CPU and on the device, when it exits."""
    # Without a list, torch would fork the generators of all GPUs, and warn if there are several.
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


class CannotSplit(Exception):
    """Raised when the trainable part cannot run on its own; the message says why."""


class Tail(nn.Module, ABC):
    """The trainable part of a network, run on features of shape (N, width).

    It consists of the network's own modules, so training it trains the network.
    """

    #: Dotted paths of the modules whose inputs or outputs are the features.
    where: str

    @property
    @abstractmethod
    def width(self) -> int:
        """The number of features per image."""

    @property
    @abstractmethod
    def shapes(self) -> Sequence[torch.Size]:
        """The shapes of one image's features at each of the modules in `where`, before they are flattened."""

    @abstractmethod
    def extract(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the model, which must be in eval mode, up to the features; return them in shape (N, width)."""

    @abstractmethod
    def forward(self, features: Tensor) -> Any:
        """Map features of shape (N, width) to logits of shape (N, classes), or logits and auxiliary logits.

        The features are not modified.
        """


def verify_logits(tail: Tail, model: nn.Module, frozen: Frozen, images: Tensor) -> None:
    """Compare the logits of the tail and of the model in eval mode and, with the same dropout masks, in train mode.

    In between, the model runs on the images in a different order, so a tail that relies on stored tensors fails.

    Raises:
        CannotSplit: If the logits differ, or the tail cannot run.
        NotFinite: If the model returns NaN or infinite values, so that training would be useless.
    """
    is_gpu_autocast = images.is_cuda and torch.is_autocast_enabled("cuda")
    # In eval mode, the tail gets one image fewer, so that it fails if it uses a stored tensor of the full batch. Train
    # mode comes first, because it changes the batch norm statistics that eval mode uses.
    modes = (
        (frozen.train, len(images), TOLERANCE),
        (model.eval, max(1, len(images) - 1), AUTOCAST_TOLERANCE if is_gpu_autocast else TOLERANCE),
    )
    wanted = [_run_model(model, set_mode, images) for set_mode, _, _ in modes]
    features = tail.extract(model, images)
    model(images.flip(0))
    for (set_mode, count, tolerance), expected in zip(reversed(modes), reversed(wanted), strict=True):
        set_mode()
        torch.manual_seed(0)
        found = list_logits(_run(tail, features[:count]))
        # A head that runs on its own returns no auxiliary logits, so they are compared only if both return them.
        if not all(are_close(one, other[:count], tolerance) for one, other in zip(found, expected, strict=False)):
            raise CannotSplit("the trainable part on its own returns different logits than the full network")


def _run_model(model: nn.Module, set_mode: Callable[[], object], images: Tensor) -> Sequence[Tensor]:
    """Return the logits of the model in a mode, in which it stays."""
    set_mode()
    torch.manual_seed(0)
    found = list_logits(model(images))
    if not all(logits.isfinite().all() for logits in found):
        raise NotFinite(
            "the network returns NaN or infinite values before the first step; check the values in `weights`, and "
            "`mean` and `std` if you set them."
        )
    return found


def verify_gradients(tail: Tail, model: nn.Module, frozen: Frozen, images: Tensor) -> None:
    """Compare the gradients of all parameters, because a parameter may have no effect on the logits at first.

    Raises:
        CannotSplit: If the gradients differ.
    """
    model.eval()
    features = tail.extract(model, images)
    try:
        wanted = _compute_gradients(model, frozen, lambda: model(images))
        found = _compute_gradients(model, frozen, lambda: _run(tail, features))
    finally:
        model.zero_grad(set_to_none=True)
    common = wanted.keys() & found.keys()
    odd = wanted.keys() ^ found.keys()
    odd |= {name for name in common if not are_close(found[name], wanted[name], GRADIENT_TOLERANCE)}
    if odd:
        raise CannotSplit(f"{min(odd)} has a different gradient if only the trainable part runs")


def _compute_gradients(model: nn.Module, frozen: Frozen, run: Callable[[], Any]) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    frozen.train()
    torch.manual_seed(0)
    torch.clear_autocast_cache()  # it contains copies of the weights that were made under no_grad
    with torch.enable_grad():
        total = torch.stack([_weigh(logits) for logits in list_logits(run())]).sum()
        total.backward()  # type: ignore[no-untyped-call]  # torch has no annotation here
    torch.clear_autocast_cache()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def _weigh(logits: Tensor) -> Tensor:
    """Return a weighted sum of the logits in which all weights differ."""
    flat = logits.float().flatten()
    return (flat * torch.linspace(0.5, 1.5, len(flat), device=flat.device)).sum()


def _run(tail: Tail, features: Tensor) -> Any:
    try:
        return tail(features)
    except Exception as error:  # a network may raise anything when only part of it runs
        if is_out_of_memory(error):
            raise
        raise CannotSplit(f"the part after {tail.where} cannot run on its own: {error}") from error


def list_logits(output: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the logits in a network's output, followed by any auxiliary logits."""
    return [output] if isinstance(output, Tensor) else output


def are_close(found: Tensor, wanted: Tensor, tolerance: float) -> bool:
    """Return whether all differences are at most ``tolerance`` times the largest wanted value, which must be finite."""
    if found.shape != wanted.shape:
        return False
    scale = wanted.float().abs().max().item()
    return math.isfinite(scale) and torch.allclose(found.float(), wanted.float(), rtol=0, atol=tolerance * scale)


@contextmanager
def preserved_buffers(model: nn.Module) -> Iterator[None]:
    """Return a context that restores all buffers when it exits.

    A forward pass in train mode updates batch norm statistics.
    """
    before = [
        (module, name, buffer, buffer if buffer is None else buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()  # noqa: SLF001  # named_buffers() leaves out those that are None
    ]
    try:
        yield
    finally:
        for module, name, buffer, values in before:
            if buffer is not None and values is not None:
                buffer.copy_(values)
            setattr(module, name, buffer)  # the module may have replaced it
