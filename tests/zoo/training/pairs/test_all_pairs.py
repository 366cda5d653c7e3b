"""Each pair of training options means what a loop in plain PyTorch does with both of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from acme import draw_photos, make_acme
from made_registries import registry_of
from option_values import BASE, PAIRS, VALUES, list_covering
from reference_loop import PlainTraining, Reference, State
from zoo.engine.batches import ImageBatchSource
from zoo.engine.metrics import Epoch
from zoo.engine.state import TrainingState
from zoo.progress import Silent
from zoo.registry.recipe import make_recipe
from zoo.training.prepare import Plan, prepare, resolve_job, run_context

#: Pairs of which only one option, the one listed here, changes the result of these runs.
WITHOUT_EFFECT: dict[tuple[str, str], set[str]] = {}


@dataclass
class Recorder(Silent):
    """Callbacks that record the learning rate of each step, and the best model."""

    state: TrainingState
    found: Reference = field(default_factory=Reference)

    def on_step(self) -> None:
        learner = self.state.learner
        assert learner is not None
        self.found.rates.append(learner.optimizer.param_groups[0]["lr"])

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:  # noqa: ARG002
        self.found.ranks.append(epoch.rank)
        if is_best:
            self.found.best = copy.deepcopy(model.state_dict())


@pytest.fixture(scope="session")
def few_blue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 5 blue and 13 red images to train on."""
    folder = tmp_path_factory.mktemp("uneven")
    for name, count in (("blue", 5), ("red", 13)):
        draw_photos(folder / "train", per_class=count, classes=(name,), seed=count)
    draw_photos(folder / "val", per_class=6, seed=3)
    return folder


def run_both(photos: Path, options: dict[str, Any]) -> tuple[Reference, Reference]:
    """Train with zoo's engine and with the reference loop, both in float64 from the same weights."""
    job = resolve_job("net", photos, make_recipe({**BASE, **options}), registry_of(make_acme()), Silent())
    with run_context(job):
        plan = prepare(job)
        model = plan.network.model.double()
        model.register_forward_pre_hook(lambda _module, inputs: (inputs[0].double(),))
        twin = copy.deepcopy(model)
        return run_zoo(plan), run_reference(plan, twin)


def are_equal(one: State, other: State) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def run_zoo(plan: Plan) -> Reference:
    state = TrainingState(plan.network.model)
    recorder = Recorder(state)
    for index in range(len(plan.phases)):
        phase = plan.begin(index)
        before = phase.frozen.digest()
        with closing(
            ImageBatchSource(phase.network.model, phase.images, phase.views, phase.recipe, phase.hardware)
        ) as source:
            phase.begin(index, source, state, recorder)
            phase.run(source, state, recorder, recorder)
        phase.frozen.check(before)
    return recorder.found


def run_reference(plan: Plan, model: nn.Module) -> Reference:
    """Train with the reference loop on the same batches."""
    labels = torch.tensor([sample.label for sample in plan.images.train])
    sizes = labels.bincount().double()
    training = None
    for index, recipe in enumerate(plan.phases):
        phase = plan.begin(index)
        with closing(ImageBatchSource(model, phase.images, phase.views, recipe, phase.hardware)) as source:
            (val,) = [tuple(torch.cat(parts) for parts in zip(*source.measure("val"), strict=True))]
            training = training or PlainTraining(model, source.train, val, len(labels) / (2 * sizes))
            training.batches_of = source.train
            training.run(recipe)
    return training.found


def require_equal(found: Reference, expected: Reference) -> None:
    assert found.rates == pytest.approx(expected.rates)
    torch.testing.assert_close(torch.tensor(found.ranks), torch.tensor(expected.ranks), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.best, expected.best, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("names", list_covering())
def test_options_together_train_as_the_reference_does(few_blue: Path, names: tuple[str, ...]) -> None:
    """Every pair of options is in one of these sets."""
    require_equal(*run_both(few_blue, {key: value for name in names for key, value in VALUES[name].items()}))


@pytest.fixture(scope="module")
def alone(few_blue: Path) -> Callable[[str], State]:
    """Return the best state with one of the options."""
    return cache(lambda name: run_both(few_blue, VALUES[name])[1].best)


@pytest.mark.breadth
@pytest.mark.parametrize(("one", "two"), PAIRS, ids=map("-".join, PAIRS))
def test_a_pair_of_options_trains_as_the_reference_does(
    few_blue: Path, alone: Callable[[str], State], one: str, two: str
) -> None:
    found, expected = run_both(few_blue, {**VALUES[one], **VALUES[two]})
    require_equal(found, expected)
    unchanged = {name for name in (one, two) if are_equal(alone(name), expected.best)}
    assert unchanged == WITHOUT_EFFECT.get((one, two), set())
