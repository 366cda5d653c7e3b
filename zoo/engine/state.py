"""All that decides how a run goes on: taken down after any step, and put back bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.engine.interrupts import undisturbed
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Sums
from zoo.engine.metrics import Epoch
from zoo.errors import RunError, TrainingError
from zoo.models.sharding import contribute, part, put, whole
from zoo.models.weights.load import is_finite

_MODEL, _OPTIMIZER, _AVERAGE, _EPOCH = "model.", "optimizer.", "average.", "lap."


@dataclass(frozen=True)
class Checkpoint:
    """A state on its way to the disk or back: tensors by name, and what JSON can hold."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@dataclass
class TrainingState:
    """Where a run is."""

    #: The whole network, which may be more than what the learner runs.
    model: nn.Module
    #: What it begins with, until the phase has begun that this belongs to.
    saved: Checkpoint | None = None
    #: Index of the phase that is under way.
    phase: int = 0
    history: list[Epoch] = field(default_factory=list)
    #: Batches that were learned from in the epochs that are over.
    done: int = 0
    learner: Learner | None = None
    #: What the learner learns from: images, or features of them.
    feed: str = ""
    #: Names of all that it may move.
    moving: tuple[str, ...] = ()
    #: Names of buffers that are not finite from the start, as masks are.
    masks: frozenset[str] = frozenset()
    #: The epoch that is under way.
    current: EpochProgress | None = None

    def __post_init__(self) -> None:
        if self.saved:
            self.phase, self.done = (self.saved.facts[name] for name in ("phase", "done"))
            self.history = [Epoch(**line) for line in self.saved.facts["history"]]

    @property
    def batches(self) -> int:
        """Batches that were learned from, in all phases together."""
        current = self.saved.facts.get("lap") if self.saved else None
        return int(self.done + (self.current.step if self.current else current["step"] if current else 0))

    @property
    def phase_history(self) -> list[Epoch]:
        """Finished epochs of the current phase."""
        return [epoch for epoch in self.history if epoch.phase == self.phase + 1]

    def end_epoch(self, epoch: Epoch) -> None:
        """Note what the epoch that is under way came to."""
        assert self.current is not None
        self.history.append(epoch)
        self.done, self.current = self.batches, None

    def begin_phase(self, phase: int, learner: Learner, feed: str) -> None:
        """Begin a phase; the one that was saved goes on where it was.

        Raises:
            RunError: what was saved is not of this network or this optimizer.
        """
        with undisturbed():  # else what is half restored might be saved
            current = self._restore(learner, feed, self.saved) if self.saved else None
            self.phase, self.feed, self.current, self.saved = phase, feed, current, None
            # As they are now: a later phase may have begun to thaw more when this one is saved.
            self.moving = tuple(list_moving(self.model))
            self.masks = frozenset(name for name, buffer in self.model.named_buffers() if not is_finite(buffer))
            self.learner = learner

    def capture(self) -> Checkpoint:
        """Return the state, without copies: it is to be written before the next step.

        Not while a step is under way.
        """
        listed = self._list()
        return Checkpoint({name: whole(tensor) for name, tensor in listed.tensors.items()}, listed.facts)

    def contribute(self) -> None:
        """Give the process that captures the state this one's part of it."""
        contribute(self._list().tensors.values())

    def _list(self) -> Checkpoint:
        """List all that is captured, which may be divided between processes."""
        learner = self.learner
        assert learner is not None
        state = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        tensors = {f"{_MODEL}{name}": state[name] for name in self.moving}
        tensors |= _list_slots(learner.optimizer, self.model)
        if learner.average:
            tensors |= {f"{_AVERAGE}{name}": tensor for name, tensor in learner.average.tensors.items()}
        facts = {
            "feed": self.feed,
            "phase": self.phase,
            "done": self.done,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "steps": learner.steps,
            "parts": learner.micro_batches.count,
            "scaler": learner.scaler.state_dict(),
        }
        if self.current is not None:
            current = self.current
            tensors |= {f"{_EPOCH}loss": current.sums.loss, f"{_EPOCH}correct": current.sums.correct}
            facts["lap"] = {
                "step": current.step,
                "count": current.sums.count,
                "lr": current.lr,
                "seconds": current.seconds,
            }
        return Checkpoint({name: tensor.detach() for name, tensor in tensors.items()}, facts)

    def require_finite(self) -> None:
        """Raise TrainingError where a weight or a statistic is not finite: a loss need not have shown it."""
        masks = {f"{_MODEL}{name}" for name in self.masks}
        for name, tensor in self._list().tensors.items():
            if name not in masks and not is_finite(part(tensor)):
                raise TrainingError(
                    f"{name} is not finite after {self.batches} steps; try a lower `lr`. The best epoch so far is kept."
                )

    def _restore(self, learner: Learner, feed: str, saved: Checkpoint) -> EpochProgress | None:
        if saved.facts["feed"] != feed:
            raise RunError(
                f"the run learned from {saved.facts['feed']}, and learns from {feed} now; "
                "resume it with as much room in the cache folder as before."
            )
        _restore_model(self.model, saved.tensors)
        _restore_slots(learner.optimizer, self.model, saved.tensors)
        if learner.average:
            for name, tensor in learner.average.tensors.items():
                put(tensor, saved.tensors[f"{_AVERAGE}{name}"])
        learner.steps = saved.facts["steps"]
        learner.micro_batches.count = saved.facts["parts"]
        learner.scaler.load_state_dict(saved.facts["scaler"])
        current = saved.facts.get("lap")
        if current is None:
            return None
        sums = Sums(learner.hardware.device)
        sums.loss.copy_(saved.tensors[f"{_EPOCH}loss"])
        sums.correct.copy_(saved.tensors[f"{_EPOCH}correct"])
        sums.count = current["count"]
        return EpochProgress(len(self.history), sums, current["lr"], current["step"], current["seconds"])


@torch.no_grad()
def _restore_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    moving = list_moving(model)
    given = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items() if name.startswith(_MODEL)}
    differing = sorted({name for name, _ in _describe(given).items() ^ _describe(moving).items()})
    if differing:
        raise RunError(
            f"the run cannot go on: it is of another network, as {', '.join(differing[:3])} differ; "
            "remove its folder to start anew."
        )
    for name, tensor in moving.items():
        put(tensor, given[name])


def _describe(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _list_slots(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """List what the optimizer remembers, as ``optimizer.NAME.SLOT``."""
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{_OPTIMIZER}{names[parameter]}.{slot}": value
        for parameter, slots in optimizer.state.items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


@torch.no_grad()
def _restore_slots(optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for key, tensor in tensors.items():
        if key.startswith(_OPTIMIZER):
            name, _, slot = key.removeprefix(_OPTIMIZER).rpartition(".")
            parameter = parameters[name]
            # In the parameter's own layout, which fused kernels rely on.
            if tensor.shape == parameter.shape:
                value = torch.empty_like(parameter, dtype=tensor.dtype)
                put(value, tensor)
            else:
                value = tensor.to(parameter.device, copy=True)
            optimizer.state[parameter][slot] = value


def list_moving(model: nn.Module) -> dict[str, Tensor]:
    """List the parameters that learn, and all buffers: statistics move without gradients."""
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {**learning, **dict(model.named_buffers())}
