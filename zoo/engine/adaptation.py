"""Adapt a model to a single image before it predicts it. The model itself never changes.

This is MEMO (Zhang et al. 2022, arXiv:2110.09506): the entropy of the mean prediction over augmented views of the image
is minimized with a few steps of SGD, and batch norms mix the statistics of the image into those of training (Schneider
et al. 2020, arXiv:2006.16971). The steps are taken on copies of the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from zoo.errors import FrozenMoved, OptionError
from zoo.models.freeze import digest_frozen
from zoo.registry.adapt_design import AdaptDesign

#: Weight of the statistics of training in a batch norm. The image counts as much as one of 17 images, as in MEMO.
_PRIOR = 16 / 17
_ARGUMENTS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


class Adapter:
    """Predictions of a model that is adapted to each image by itself."""

    def __init__(self, model: nn.Module, design: AdaptDesign) -> None:
        self._model = model
        self._design = design

    def predict(self, images: Tensor) -> Tensor:
        """Adapt copies of the parameters to an image, and return probabilities of shape (1, classes).

        Args:
            images: The normalized image and its views, of shape (1 + views, C, H, W), on the model's device.

        Raises:
            OptionError: If the logits have no gradients.
        """
        # A tensor from inference mode cannot be part of a graph, but a copy can.
        with torch.inference_mode(mode=False), _MixedBatchNorm(), torch.enable_grad():
            images = images.clone()
            tensors = {name: tensor.detach().clone() for name, tensor in self._model.named_parameters()}
            tensors |= {name: tensor.detach().clone() for name, tensor in self._model.named_buffers()}
            for _ in range(self._design.steps):
                tensors |= self._step(tensors, images[1:])
            with torch.no_grad():
                logits: Tensor = functional_call(self._model, tensors, (images[:1],))
        return logits.float().softmax(1)

    def _step(self, tensors: Mapping[str, Tensor], views: Tensor) -> dict[str, Tensor]:
        """Return the parameters after a step."""
        names = [name for name, parameter in self._model.named_parameters() if parameter.requires_grad]
        parameters = {name: tensors[name].requires_grad_() for name in names}
        loss = marginal_entropy(functional_call(self._model, {**tensors, **parameters}, (views,)))
        if not loss.requires_grad:
            raise OptionError("`adapt`: the network returns logits without gradients, so it cannot be adapted.")
        gradients = torch.autograd.grad(loss, [*parameters.values()], allow_unused=True)
        return {
            name: (tensor if gradient is None else tensor - self._design.lr * gradient).detach()
            for (name, tensor), gradient in zip(parameters.items(), gradients, strict=True)
        }

    @contextmanager
    def verified(self) -> Iterator[None]:
        """Return a context that verifies at its end that no parameter or buffer of the model has changed.

        Raises:
            FrozenMoved: If one has changed.
        """
        before = digest_frozen(self._model, ())
        try:
            yield
        finally:
            if digest_frozen(self._model, ()) != before:
                raise FrozenMoved(
                    "the network changed its own parameters or buffers while it was adapted; load the run again, and "
                    "leave out `adapt`."
                )


def marginal_entropy(logits: Tensor) -> Tensor:
    """Return the entropy of the mean of the probabilities of N views; ``logits`` has the shape (N, classes)."""
    mean = logits.float().log_softmax(1).logsumexp(0) - math.log(len(logits))
    # A probability of 0 contributes nothing to the entropy.
    return -(mean.clamp_min(torch.finfo(mean.dtype).min) * mean.exp()).sum()


class _MixedBatchNorm(TorchFunctionMode):
    """A mode in which batch norms in eval mode mix the statistics of their input into those of training.

    The layers are not replaced. Instead, their calls to ``batch_norm`` are intercepted, so layers of any class work.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.batch_norm:
            call = {**dict(zip(_ARGUMENTS, args, strict=False)), **(kwargs or {})}
            if not call.get("training") and call.get("running_mean") is not None:
                return func(**{**call, **_mix_statistics(call)})
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def _mix_statistics(call: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the mean and the variance of each channel for a call to ``batch_norm``."""
    images: Tensor = call["input"].detach()
    mean, var = call["running_mean"], call["running_var"]
    count = images.numel() // images.shape[1]
    if count == 1:  # A single value has no variance.
        return {}
    own_mean, own_var = torch.zeros_like(mean), torch.ones_like(var)
    # With a momentum of 1, batch_norm stores the statistics of its input. This is faster than `torch.var_mean`.
    functional.batch_norm(images, own_mean, own_var, training=True, momentum=1.0)
    own_var *= (count - 1) / count  # It stores the unbiased variance.
    return {"running_mean": own_mean.lerp(mean, _PRIOR), "running_var": own_var.lerp(var, _PRIOR)}
