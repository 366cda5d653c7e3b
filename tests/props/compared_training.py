"""The training of the tiny network by zoo, and by a loop in plain PyTorch on the same batches."""

from __future__ import annotations

import copy
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from acme import make_acme
from made_registries import registry_of
from option_values import BASE
from reference_loop import Batch, PlainTraining, Reference
from zoo.engine.batches import ImageBatchSource
from zoo.engine.metrics import Epoch
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.progress import Silent
from zoo.registry.recipe import make_recipe
from zoo.training.job import resolve_job
from zoo.training.prepare import Plan, prepare, run_context


@dataclass
class Recorder(Silent):
    """Callbacks that record the learning rate of each step, and the state after each epoch."""

    state: TrainingState
    found: Reference = field(default_factory=Reference)

    def on_step(self) -> None:
        learner = self.state.learner
        assert learner is not None
        self.found.rates.append(learner.optimizer.param_groups[0]["lr"])

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:  # noqa: ARG002  # PhaseCallbacks
        if is_best:
            self.found.best = len(self.found.ranks)
        self.found.ranks.append(epoch.rank)
        self.found.states.append(copy.deepcopy(model.state_dict()))


def run_both(photos: Path, options: dict[str, Any]) -> tuple[Reference, Reference]:
    """Train with zoo and with the reference loop, in float64 unless the precision is bf16."""
    job = resolve_job("net", photos, make_recipe({**BASE, **options}), registry_of(make_acme()), Silent())
    with run_context(job):
        plan = prepare(job)
        if job.recipe.precision == "fp32":
            plan.network.model.double().register_forward_pre_hook(lambda _module, inputs: (inputs[0].double(),))
        twin = copy.deepcopy(plan.network.model)
        return _run_zoo(plan), _run_reference(plan, twin)


def require_equal(found: Reference, expected: Reference) -> None:
    """Require the same learning rates, metrics, best epoch and weights."""
    assert found.rates == pytest.approx(expected.rates)
    torch.testing.assert_close(torch.tensor(found.ranks), torch.tensor(expected.ranks), rtol=1e-5, atol=1e-5)
    # Adam divides tiny gradients by their own size, which amplifies their rounding to about 2e-6 of a step of 0.2.
    torch.testing.assert_close(found.states, expected.states, rtol=1e-5, atol=5e-6)
    assert found.best == expected.best


def _run_zoo(plan: Plan) -> Reference:
    state = TrainingState(plan.network.model)
    recorder = Recorder(state)
    for index in range(len(plan.phases)):
        phase = plan.begin(index)
        before = phase.frozen.digest()
        with closing(_open_source(phase, phase.network.model)) as source:
            phase.begin(index, source, state, recorder)
            phase.run(source, state, recorder, recorder)
        phase.frozen.check(before)
    return recorder.found


def _run_reference(plan: Plan, model: nn.Module) -> Reference:
    sizes = torch.tensor([sample.label for sample in plan.images.train]).bincount().double()
    found = Reference()
    for index, recipe in enumerate(plan.phases):
        with closing(_open_source(plan.begin(index), model)) as source:
            weights, is_bf16 = sizes.sum() / (2 * sizes), plan.hardware.precision == "bf16"
            training = PlainTraining(model, source.train, _join(source.measure("val")), weights, is_bf16, found)
            training.run(recipe)
    return found


def _open_source(phase: Phase, model: nn.Module) -> ImageBatchSource:
    return ImageBatchSource(model, phase.images, phase.views, phase.recipe, phase.hardware)


def _join(batches: Any) -> Batch:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)
