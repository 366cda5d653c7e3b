"""The training state of a run, which can be captured after any step and restored bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.engine.interrupts import deferring_signals
from zoo.engine.learner import Learner
from zoo.engine.loop import EpochProgress, Sums
from zoo.engine.metrics import Epoch
from zoo.errors import RunError, TrainingError
from zoo.models.sharding import copy_full_tensor, full_tensor, gather_for_other, local_tensor
from zoo.models.weights.misfits import is_finite

#: Prefixes of tensor names in a checkpoint.
_MODEL, _OPTIMIZER, _AVERAGE, _EPOCH = "model.", "optimizer.", "average.", "lap."


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: tensors by name, and values that JSON can represent."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@dataclass
class TrainingState:
    """The training state of a run."""

    #: Full model. The learner may run only its trainable part.
    model: nn.Module
    #: Checkpoint to resume from; None once its phase has begun.
    saved: Checkpoint | None = None
    #: Index of the current phase.
    phase: int = 0
    #: Finished epochs of all phases.
    history: list[Epoch] = field(default_factory=list)
    #: Number of steps in the finished epochs.
    done: int = 0
    learner: Learner | None = None
    #: Kind of batches that the learner trains on, ``images`` or ``features``.
    source_kind: str = ""
    #: Names of the parameters and buffers that the current phase can change.
    trainable: tuple[str, ...] = ()
    #: Names of the buffers that are not finite at the start of the phase, such as masks.
    masks: frozenset[str] = frozenset()
    #: Progress of the current epoch.
    current: EpochProgress | None = None

    def __post_init__(self) -> None:
        if self.saved:
            self.phase, self.done = (self.saved.facts[name] for name in ("phase", "done"))
            known = {field.name for field in dataclasses.fields(Epoch)}
            lines = self.saved.facts["history"]
            self.history = [Epoch(**{name: line[name] for name in known & line.keys()}) for line in lines]

    @property
    def batches(self) -> int:
        """Number of steps so far, in all phases."""
        saved_epoch = self.saved.facts.get("lap", {}) if self.saved else {}
        return self.done + int(self.current.step if self.current else saved_epoch.get("step", 0))

    @property
    def phase_history(self) -> list[Epoch]:
        """Finished epochs of the current phase."""
        return [epoch for epoch in self.history if epoch.phase == self.phase + 1]

    def end_epoch(self, epoch: Epoch) -> None:
        """Add the current epoch to the history."""
        assert self.current is not None
        self.history.append(epoch)
        self.done, self.current = self.batches, None

    def begin_phase(self, phase: int, learner: Learner, source_kind: str) -> None:
        """Begin a phase, or resume it from the checkpoint.

        Raises:
            RunError: If the checkpoint is from a different model or kind of batches.
        """
        with deferring_signals():  # Otherwise, an interrupted run could save a partly restored state.
            current = self._restore(learner, source_kind, self.saved) if self.saved else None
            self.phase, self.source_kind, self.current, self.saved = phase, source_kind, current, None
            # List the names now, because the next phase may already have unfrozen more when this phase is saved.
            self.trainable = tuple(list_trainable_state(self.model))
            self.masks = frozenset(name for name, buffer in self.model.named_buffers() if not is_finite(buffer))
            self.learner = learner

    def capture(self) -> Checkpoint:
        """Return a checkpoint. Do not call this during a step.

        The tensors are not copies, so write the checkpoint before the next step.
        """
        if self.learner and self.learner.average:
            self.learner.average.restore()  # A signal may have arrived just before an evaluation ended.
        listed = self._list()
        return Checkpoint({name: full_tensor(tensor) for name, tensor in listed.tensors.items()}, listed.facts)

    def contribute(self) -> None:
        """Send this process's part of the sharded tensors to the process that calls `capture`."""
        gather_for_other(self._list().tensors.values())

    def _list(self) -> Checkpoint:
        """Return a checkpoint whose tensors may be sharded."""
        learner = self.learner
        assert learner is not None
        state = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        tensors = {f"{_MODEL}{name}": state[name] for name in self.trainable}
        tensors |= _list_slots(learner.optimizer, self.model)
        if learner.average:
            tensors |= {f"{_AVERAGE}{name}": tensor for name, tensor in learner.average.tensors.items()}
        facts = {
            "feed": self.source_kind,
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
        """Check that the state is finite, which a finite loss does not guarantee.

        Raises:
            TrainingError: If a parameter, a buffer or a tensor of the optimizer is not finite.
        """
        masks = {f"{_MODEL}{name}" for name in self.masks}
        for name, tensor in self._list().tensors.items():
            if name not in masks and not is_finite(local_tensor(tensor)):
                raise TrainingError(f"{name} is not finite after {self.batches} steps; try a lower `lr`.")

    def _restore(self, learner: Learner, source_kind: str, saved: Checkpoint) -> EpochProgress | None:
        if saved.facts["feed"] != source_kind:
            raise RunError(
                f"the run was trained on {saved.facts['feed']}, but would now be trained on {source_kind}; "
                "resume it with the same amount of free space in the cache folder as before."
            )
        _restore_model(self.model, saved.tensors)
        _restore_slots(learner.optimizer, self.model, saved.tensors)
        if learner.average:
            for name, tensor in learner.average.tensors.items():
                copy_full_tensor(tensor, saved.tensors[f"{_AVERAGE}{name}"])
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
    expected = list_trainable_state(model)
    found = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items() if name.startswith(_MODEL)}
    differing = sorted({name for name, _ in _describe(found).items() ^ _describe(expected).items()})
    if differing:
        raise RunError(
            f"the run cannot be resumed: its checkpoint is from a different model ({', '.join(differing[:3])} differ); "
            "remove the run folder to start from scratch."
        )
    for name, tensor in expected.items():
        copy_full_tensor(tensor, found[name])


def _describe(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def _list_slots(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """List the tensors of the optimizer's state, as ``optimizer.NAME.SLOT``."""
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
            # Fused kernels require the memory format of the parameter.
            if tensor.shape == parameter.shape:
                value = torch.empty_like(parameter, dtype=tensor.dtype)
                copy_full_tensor(value, tensor)
            else:
                value = tensor.to(parameter.device, copy=True)
            optimizer.state[parameter][slot] = value


def list_trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """List the trainable parameters and all buffers, including batch norm statistics."""
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {**trainable, **dict(model.named_buffers())}
