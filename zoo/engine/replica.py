"""The module that is trained in a phase; torch's DistributedDataParallel averages its gradients over the processes.

The gradients are averaged during the backward pass, so no process can repeat a step in which only another one has run
out of memory. Therefore the first steps with each batch size are tried without communication. If a step succeeds in all
processes, its gradients are averaged afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zoo.engine.criterion import Criterion
from zoo.engine.distributed.world import World
from zoo.engine.torch_compile import CannotCompile, CompiledModel
from zoo.errors import NotEnoughMemory, is_out_of_memory
from zoo.models.sharding import is_sharded


class OutOfMemoryEverywhere(torch.OutOfMemoryError):
    """A process is out of memory, and all processes know it."""


class _Loss(nn.Module):
    """The loss of a micro-batch, as a module with the trained parameters, but without buffers."""

    def __init__(self, model: nn.Module, criterion: Criterion) -> None:
        super().__init__()
        #: A parameter that no image uses. A backward pass that reaches only it averages the gradients that exist.
        self.idle = nn.Parameter(torch.zeros((), device=next(model.parameters()).device))
        self.trained = nn.ParameterList(parameter for parameter in model.parameters() if parameter.requires_grad)
        self._criterion = criterion

    def forward(self, model: Callable[[Tensor], Any] | None, *micro_batch: Tensor) -> tuple[Tensor, Tensor]:
        if model is None:
            return self.idle.clone(), self.idle.detach()  # torch looks for used parameters in the graph
        images, *targets = micro_batch
        loss, logits = self._criterion(model(images), *targets)
        return loss, logits.detach()


class Replica:
    """This process's replica of the trained module."""

    def __init__(self, model: nn.Module, criterion: Criterion, world: World, *, is_fixed: bool = False) -> None:
        """Create the replica; ``is_fixed`` says whether the processes wait for each other in the forward pass."""
        self._world, self._loss, self._can_try = world, _Loss(model, criterion), not is_fixed
        self._is_shared = world.size > 1 and not is_sharded(model)
        self._ddp: DistributedDataParallel | None = None
        #: Whether torch averages the gradients after the backward pass. It starts true, until a step shows that torch
        #: finds all parameters that get a gradient.
        self._averages_later = True
        self._found: set[int] = set()
        #: The kinds of steps that have been tried: the batch size, and whether the optimizer already had its state.
        self._tried: set[tuple[int, bool]] = set()
        self._is_trial = False
        #: The factor of this process's part of the mean loss, so that the mean of all gradients is their sum.
        self.factor = world.size if self._is_shared else 1
        world.notices.holders.add(self)

    def compute_loss(
        self, model: Callable[[Tensor], Any], *micro_batch: Tensor, is_last: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the mean loss of a micro-batch, and its logits of shape (N, classes), which have no gradients.

        Args:
            model: The model, or the compiled model.
            *micro_batch: Images, targets and any loss weights.
            is_last: Whether this is the last micro-batch of a step, whose backward pass averages the gradients.
        """
        module: Callable[..., tuple[Tensor, Tensor]] = self._ddp or self._loss
        with self._ddp.no_sync() if self._ddp and (self._averages_later or not is_last) else nullcontext():
            loss, logits = module(model, *micro_batch)
        if self._ddp and self._averages_later:
            self._found |= _find_leaves(loss)
        return loss, logits

    @contextmanager
    def stepping(self, size: int, steps: int) -> Iterator[None]:
        """Return a context for a step.

        Args:
            size: Number of images in the global batch.
            steps: Number of optimizer steps so far.

        Raises:
            NotEnoughMemory: If this process is out of memory, and the other processes cannot repeat the step.
            PeerError: If another process has died.
        """
        kind = (size, steps > 0)
        self._is_trial = self._is_shared and self._can_try and kind not in self._tried
        self._averages_later |= self._is_trial
        self._found.clear()
        try:
            with self._world.reporting_peer_errors():
                self._open()
                yield
        except (RuntimeError, MemoryError) as error:
            can_repeat = not (self._is_shared and self._can_try) or isinstance(error, OutOfMemoryEverywhere)
            if can_repeat or not is_out_of_memory(error):
                raise
            reason = str(error).partition("\n")[0]
            raise NotEnoughMemory(
                "not enough memory for a step that the other processes have begun; continue the run with `resume`. If "
                f"it stops again, start a run with a larger `accumulate`. ({reason})"
            ) from error
        self._tried.add(kind)

    @contextmanager
    def averaging(self, local_size: int, compiled: CompiledModel | None) -> Iterator[None]:
        """Return a context for the passes of a step, after which all processes have the averaged gradients.

        Args:
            local_size: Number of images of this process.
            compiled: The model if it is compiled.

        Raises:
            OutOfMemoryEverywhere: If a process is out of memory, and all processes can repeat the step.
            CannotCompile: If a process cannot compile the model.
        """
        with self._failing_together(compiled) if self._is_trial or self._world.size == 1 else nullcontext():
            yield
        if self._ddp and (self._averages_later or not local_size):
            has_gradient = [id(parameter) for parameter in self._loss.trained if parameter.grad is not None]
            self._averages_later = not local_size or not self._found.issuperset(has_gradient)
            self._ddp(None)[0].backward()

    @contextmanager
    def _failing_together(self, compiled: CompiledModel | None) -> Iterator[None]:
        failure: Exception | None = None
        try:
            with compiled.attempting() if compiled else nullcontext():
                yield
        except CannotCompile as error:
            failure = error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = OutOfMemoryEverywhere(str(error))
        try:
            self._world.raise_in_all(failure)
        except Exception:
            self.close()  # torch remembers which parameters the failed attempt used
            raise
        finally:
            del failure  # it would keep this frame alive, and with it the memory of the failed attempt

    def _open(self) -> None:
        if self._is_shared and self._ddp is None:
            # torch rearranges its buckets after the first step unless it looks for unused parameters. The sums of a
            # resumed run would then be rounded differently.
            self._ddp = DistributedDataParallel(
                self._loss, init_sync=False, find_unused_parameters=True, gradient_as_bucket_view=True
            )

    def close(self) -> None:
        """Drop torch's module, which keeps the connections to the other processes open."""
        self._ddp = None


def _find_leaves(loss: Tensor) -> set[int]:
    """Return the ids of the parameters in the graph of a loss.

    torch averages gradients during the backward pass only for these. Checkpoints with ``use_reentrant=True`` and
    reversible networks hide the others: their backward pass runs another one.
    """
    nodes, seen, leaves = [loss.grad_fn], set[Any](), set[int]()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::AccumulateGrad":
            leaves.add(id(node.variable))  # type: ignore[attr-defined]  # torch does not annotate it
        nodes.extend(following for following, _ in node.next_functions)
    return leaves
