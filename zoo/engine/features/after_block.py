"""Run a network from the last frozen module on, on what that module gave for the images before.

With ``--train from:BLOCK`` the first blocks give the same for the same image at every epoch. The network's own
``forward`` runs all the same: it is only that its frozen modules answer at once. The last of them, before anything that
learns, gives what was kept; what the others give nobody looks at, so it is a tensor of the right shape without memory.
Where somebody does look at it, as a decoder looks at what skips it, a proof fails and nothing is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.features.head_only import Enough
from zoo.engine.features.tail import CannotSplit, Tail, buffers_kept, fork_generators, prove_gradients, prove_logits
from zoo.models.build import Network
from zoo.models.freeze import Frozen
from zoo.models.parameter_order import FirstUses


@dataclass(frozen=True)
class _Kind:
    """What a module gives for an image."""

    shape: torch.Size
    dtype: torch.dtype
    is_channels_last: bool

    @classmethod
    def of(cls, output: Tensor) -> _Kind:
        is_channels_last = output.ndim == 4 and output.is_contiguous(memory_format=torch.channels_last)
        return cls(output.shape[1:], output.dtype, is_channels_last)

    def empty(self, like: Tensor) -> Tensor:
        """Return zeros for as many images as ``like`` has rows, of which memory holds one."""
        return torch.zeros((), dtype=self.dtype, device=like.device).expand(len(like), *self.shape)

    def shape_rows(self, rows: Tensor) -> Tensor:
        """Return rows (N, width) as the module gave them."""
        shaped = rows.reshape(-1, *self.shape).to(self.dtype)
        return shaped.contiguous(memory_format=torch.channels_last) if self.is_channels_last else shaped


class AfterBlock(Tail):
    """A network that begins after its last frozen module before anything that learns."""

    def __init__(self, model: nn.Module, answers: Mapping[str, _Kind], images: Tensor) -> None:
        super().__init__()
        self._model = model
        self._answers = dict(answers)
        self.where = [*answers][-1]
        self._image = _Kind.of(images)

    @property
    def width(self) -> int:
        """Numbers that the module gives there."""
        return prod(self._answers[self.where].shape)

    def forward(self, features: Tensor) -> Any:
        """From features of shape (N, width) to what the network gives: logits, or logits and auxiliary ones."""
        with ExitStack() as stack:
            for path, kind in self._answers.items():
                answer = kind.shape_rows(features) if path == self.where else kind.empty(features)
                stack.enter_context(_answering(self._model.get_submodule(path), answer))
            return self._model(self._image.empty(features))

    @torch.no_grad()
    def take(self, model: nn.Module, images: Tensor) -> Tensor:
        """Run the network, in eval mode, as far as the cut, and return what is given there: of shape (N, width)."""
        taken: list[Tensor] = []

        def end(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            taken.append(output)
            raise Enough

        hook = model.get_submodule(self.where).register_forward_hook(end)
        try:
            model(images)
        except Enough:
            pass
        finally:
            hook.remove()
        return taken[0].flatten(1)


def split_after_block(network: Network, frozen: Frozen, images: Tensor) -> AfterBlock:
    """Find the last frozen module before anything that learns, and prove that from there on nothing changes.

    Call it within the precision in which the network is going to learn. Random numbers and statistics stay as they
    are.

    Raises:
        CannotReplay: nothing frozen comes first, or what comes after it looks at more than what it gives.
    """
    model = network.model
    with torch.no_grad(), fork_generators(images.device), buffers_kept(model):
        frozen.train()
        still = {path: module for path, module in model.named_modules() if path and not _learns(module)}
        fixed = {path: module for path, module in still.items() if not module.training}
        # What holds nothing, as pooling, comes along where it can: not a dropout, which is found out.
        empty = {path: module for path, module in still.items() if not module.state_dict()}
        try:
            return _cut(network, frozen, {**fixed, **empty}, images)
        except CannotSplit:
            return _cut(network, frozen, fixed, images)


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _cut(network: Network, frozen: Frozen, still: Mapping[str, nn.Module], images: Tensor) -> AfterBlock:
    """Cut after the last of these modules that are called before anything that learns is used."""
    model = network.model
    answers = _follow(model.eval(), still, images)  # as features are computed: auxiliary heads are silent
    if not answers:
        raise CannotSplit("nothing that is frozen comes before all that learns")
    cut = AfterBlock(model, answers, images)
    spared = sum(parameter.numel() for path in answers for parameter in still[path].parameters())
    standing = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    if 2 * spared < standing:
        raise CannotSplit(f"most of what is frozen comes after {cut.where}, the last frozen module that can be kept")
    prove_logits(cut, model, frozen, images)
    prove_gradients(cut, model, frozen, images)
    return cut


def _follow(model: nn.Module, still: Mapping[str, nn.Module], images: Tensor) -> dict[str, _Kind]:
    """Return what each of the modules gives that ends before anything that learns is used, by path, in that order.

    Of one within another only the outer one is there. One that gives something else than a tensor, or is called twice,
    is not there: it will have to run, on what nobody looks at.
    """
    answers: dict[str, _Kind] = {}
    calls = Counter[str]()
    learning = FirstUses(parameter for parameter in model.parameters() if parameter.requires_grad)

    def note(path: str, output: object) -> None:
        calls[path] += 1
        if isinstance(output, Tensor) and output.shape[:1] == images.shape[:1] and not learning.order:
            answers[path] = _Kind.of(output)

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, path=path: note(path, output))
        for path, module in still.items()
    ]
    try:
        with learning:
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    once = {path: kind for path, kind in answers.items() if calls[path] == 1}
    return {path: kind for path, kind in once.items() if not any(path.startswith(f"{outer}.") for outer in once)}


@contextmanager
def _answering(module: nn.Module, answer: Tensor) -> Iterator[None]:
    """Let a module give this at once, whatever it is given."""
    before = vars(module).get("forward")
    module.forward = lambda *_args, **_options: answer
    try:
        yield
    finally:
        if before is None:
            del module.forward
        else:
            module.forward = before
