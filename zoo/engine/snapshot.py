"""What a step may change before it fails, so that it can be undone: statistics, and whether any weight has changed."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.errors import TrainingError
from zoo.models.sharding import part


@dataclass
class Snapshot:
    """Copies of the buffers that a pass updates, and of one parameter of each group of the optimizer.

    It is taken before every step, since an image may make the statistics of batch norms infinite; it is cheap, as the
    copies stay where they are and are refreshed together.
    """

    model: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    #: Buffers of the modules that are in training mode.
    buffers: list[Tensor] = field(init=False)
    #: Groups step one after the other; the smallest parameter of each tells whether it has. (Fused optimizers leave
    #: torch's own count of changes as it is.)
    witnesses: list[Tensor] = field(init=False)
    _copies: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        smallest = (min(group["params"], key=lambda p: part(p).numel()) for group in self.optimizer.param_groups)
        self.witnesses = [part(parameter.detach()) for parameter in smallest]
        self._take()

    def _take(self) -> None:
        self.buffers = self._list_buffers()
        self._copies = [tensor.clone() for tensor in (*self.buffers, *self.witnesses)]

    def _list_buffers(self) -> list[Tensor]:
        modules = (module for module in self.model.modules() if module.training)
        return [buffer for module in modules for buffer in module.buffers(recurse=False)]

    def refresh(self) -> None:
        """Copy what is there now; a module may have put other tensors in place of its buffers."""
        buffers = self._list_buffers()
        if [buffer.shape for buffer in buffers] != [buffer.shape for buffer in self.buffers]:
            self._take()
            return
        self.buffers = buffers
        torch._foreach_copy_(self._copies, [*buffers, *self.witnesses])  # torch has no public word for it

    def undo(self, *, is_first: bool) -> None:
        """Put back what a failed step has changed, to try again.

        Raises:
            TrainingError: some of the weights have changed already.
        """
        copies = self._copies[len(self.buffers) :]
        if any(not torch.equal(now, then) for now, then in zip(self.witnesses, copies, strict=True)):
            raise TrainingError("not enough memory for the state of the optimizer; use sgd, or a smaller backbone.")
        if is_first:
            self.optimizer.state.clear()  # which may be there in part
        if self.scaler.is_enabled():
            self.scaler.update(self.scaler.get_scale())  # else it takes the gradients for unscaled
        self.restore()

    def restore(self) -> None:
        """Put back the statistics, and drop the gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        if self.buffers:
            torch._foreach_copy_(self.buffers, self._copies[: len(self.buffers)])  # as above
