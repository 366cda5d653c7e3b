"""Read the features of images in a forward pass: the input of the head, or the output of a block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.engine.features.forward_pass import StopForward, run_with_hooks
from zoo.errors import OptionError
from zoo.models.blocks import get_block, list_blocks
from zoo.models.head import Head
from zoo.plugin import BackboneSpec


@dataclass(frozen=True)
class Tap:
    """The place in a model where features are read."""

    model: nn.Module
    #: Modules whose inputs are the features, all of them; or modules of which the last to finish returns the features.
    modules: Sequence[nn.Module]
    #: Name of the block; None for the input of the head.
    block: str | None

    def compute(self, images: Tensor) -> Tensor:
        """Return the features of normalized images (N, C, H, W), of shape (N, width).

        Feature maps and tokens are averaged over all positions, including class tokens.

        Raises:
            OptionError: If the block returns something else.
        """
        found = self._read_output(images) if self.block else self._read_inputs(images)
        return torch.cat(
            [_pool(tensor, f"the block {self.block!r}" if self.block else "the head") for tensor in found], 1
        )

    def compute_with_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits, of shape (N, classes), and the features of the input of the head, in one forward pass.

        Raises:
            OptionError: If the input of the head is not a vector, tokens or a feature map.
        """
        inputs: dict[nn.Module, object] = {}

        def record(head: nn.Module, args: tuple[object, ...]) -> None:
            inputs[head] = args[0]

        hooks = [head.register_forward_pre_hook(record) for head in self.modules]
        try:
            logits: Tensor = self.model(images)
        finally:
            for hook in hooks:
                hook.remove()
        return logits, torch.cat([_pool(inputs[head], "the head") for head in self.modules], 1)

    def _read_inputs(self, images: Tensor) -> list[object]:
        inputs: dict[nn.Module, object] = {}

        def record(head: nn.Module, args: tuple[object, ...]) -> None:
            inputs[head] = args[0]
            if len(inputs) == len(self.modules):
                raise StopForward

        run_with_hooks(self.model, images, [head.register_forward_pre_hook(record) for head in self.modules])
        return [inputs[head] for head in self.modules]

    def _read_output(self, images: Tensor) -> list[object]:
        outputs: list[object] = [None]

        def record(_module: nn.Module, _inputs: object, output: object) -> None:
            outputs[0] = output

        run_with_hooks(self.model, images, [module.register_forward_hook(record) for module in self.modules])
        return outputs


def build_tap(backbone: BackboneSpec, model: nn.Module, head: Head, block: str | None) -> Tap:
    """Find the place where features are read.

    Args:
        backbone: The backbone of the model.
        model: The model.
        head: The location of the head.
        block: Name of a block; None means the input of the head.

    Raises:
        NameNotFound: If there is no such block.
        OptionError: If the block consists only of parameters.
    """
    modules = dict(model.named_modules())
    if block is None:
        return Tap(model, [modules[path] for path in head.paths], None)
    prefixes = get_block(block, list_blocks(backbone, model, head)).prefixes
    found = [modules[prefix] for prefix in prefixes if prefix in modules]
    if not found:
        raise OptionError(f"the block {block!r} has no layers, only the parameters {', '.join(prefixes)}.")
    return Tap(model, found, block)


def _pool(output: object, where: str) -> Tensor:
    """Average a feature map (N, C, H, W) or (N, H, W, C), or tokens (N, T, C), over its positions."""
    if isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        shown = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
        raise OptionError(f"`block`: the features at {where} are {shown}, not a vector, tokens or a feature map.")
    if output.ndim == 2:
        return output
    if output.ndim == 3:
        return output.mean(1)
    is_channels_last = output.shape[1] == output.shape[2] != output.shape[3]
    return output.mean((1, 2) if is_channels_last else (2, 3))
