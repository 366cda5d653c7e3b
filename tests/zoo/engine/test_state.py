from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from zoo.data.sampler import mix_seed
from zoo.engine.criterion import Criterion
from zoo.engine.device import choose_hardware
from zoo.engine.ema import MovingAverage
from zoo.engine.learner import Learner
from zoo.engine.loop import Batches, EpochProgress, Sums, train_one_epoch
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.engine.state import Checkpoint, TrainingState, list_trainable_state
from zoo.errors import RunError
from zoo.models.freeze import Frozen
from zoo.plugin import BackboneSpec
from zoo.registry.optimizer_design import OPTIMIZERS, OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

ALL = ("stem", "layer1", "layer2", "classifier")
PART = ("layer2", "classifier")


def make_learner(
    acme: BackboneSpec, optimizer: str, trainable: tuple[str, ...], seed: int = 0, *, ema: bool = False
) -> Learner:
    torch.manual_seed(seed)
    model, hardware = acme.build(None).to(memory_format=torch.channels_last), choose_hardware("cpu")  # type: ignore[call-overload]
    frozen = Frozen(model, trainable)
    return Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(),
        optimizer=build_optimizer(OptimizerDesign(optimizer), model.parameters(), 0.05, 0.01),
        schedule=Schedule(ScheduleDesign("cosine"), 20),
        hardware=hardware,
        scaler=hardware.build_scaler(),
        seed=3,
        average=MovingAverage(list_trainable_state(model), 0.9) if ema else None,
    )


def make_batches(epoch: int) -> Batches:
    generator = torch.Generator().manual_seed(mix_seed(epoch))
    return [
        (torch.randn(4, 3, 16, 16, generator=generator), torch.randint(0, 10, (4,), generator=generator))
        for _ in range(3)
    ]


def train(learner: Learner, *epochs: int) -> dict[str, Tensor]:
    for epoch in epochs:
        train_one_epoch(
            learner, EpochProgress(epoch, Sums(torch.device("cpu"))), make_batches(epoch), lambda _count: None
        )
    return {name: tensor.clone() for name, tensor in learner.model.state_dict().items()}


def begin(learner: Learner, saved: Checkpoint | None = None) -> TrainingState:
    state = TrainingState(learner.model, saved)
    state.begin_phase(0, learner, "images")
    return state


def save(state: TrainingState) -> Checkpoint:
    """Capture and copy a state, as writing it to disk does."""
    saved = state.capture()
    return Checkpoint(
        {name: tensor.clone() for name, tensor in saved.tensors.items()}, json.loads(json.dumps(saved.facts))
    )


@pytest.mark.parametrize("trainable", [ALL, PART])
@pytest.mark.parametrize("ema", [False, True])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resuming_equals_training_without_interruption(
    acme: BackboneSpec, optimizer: str, trainable: tuple[str, ...], *, ema: bool
) -> None:
    uninterrupted, state = make_learner(acme, optimizer, trainable, ema=ema), None
    weights = train(uninterrupted, 0, 1, 2)
    first = make_learner(acme, optimizer, trainable, ema=ema)
    state = begin(first)
    train(first, 0)
    saved = save(state)

    second = make_learner(acme, optimizer, trainable, ema=ema)
    with torch.no_grad():
        for parameter in second.model.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    begin(second, saved)
    found = train(second, 1, 2)
    assert found.keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in found.items())
    if uninterrupted.average and second.average:
        assert all(torch.equal(t, uninterrupted.average.tensors[name]) for name, t in second.average.tensors.items())


def test_frozen_parameters_are_not_saved(acme: BackboneSpec) -> None:
    learner = make_learner(acme, "adamw", PART)
    state = begin(learner)
    train(learner, 0)
    names = save(state).tensors.keys()
    assert "model.layer2.0.weight" in names
    assert "optimizer.layer2.0.weight.exp_avg" in names
    assert not any(name.startswith(("model.stem.0", "optimizer.stem")) for name in names)


def test_a_checkpoint_is_of_its_phase_even_if_the_next_one_has_unfrozen_more(acme: BackboneSpec) -> None:
    learner = make_learner(acme, "adamw", PART)
    state = begin(learner)
    train(learner, 0)
    Frozen(learner.model, ALL)
    begin(make_learner(acme, "adamw", PART), save(state))


def test_a_signal_before_the_average_is_swapped_back_does_not_reach_the_checkpoint(
    acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = make_learner(acme, "sgd", ALL, ema=True)
    state = TrainingState(learner.model)
    state.begin_phase(0, learner, "images")
    train(learner, 0)
    expected = {name: tensor.clone() for name, tensor in state.capture().tensors.items()}
    assert learner.average is not None

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), learner.average.in_place():
        monkeypatch.setattr(learner.average, "restore", interrupt)
    monkeypatch.undo()
    captured = state.capture().tensors
    assert all(torch.equal(tensor, captured[name]) for name, tensor in expected.items())


def test_before_the_first_step_there_is_no_optimizer_state(acme: BackboneSpec) -> None:
    learner = make_learner(acme, "adamw", ALL)
    saved = save(begin(learner))
    assert all(name.startswith("model.") for name in saved.tensors)
    begin(learner, saved)
    assert not learner.optimizer.state


@pytest.mark.parametrize("change", ["missing", "other shape", "other dtype", "additional"])
def test_a_checkpoint_of_a_different_model_is_an_error(acme: BackboneSpec, change: str) -> None:
    learner = make_learner(acme, "sgd", ALL)
    saved = save(begin(learner))
    tensors = dict(saved.tensors)
    weight = tensors.pop("model.classifier.3.weight")
    tensors |= {
        "missing": {},
        "other shape": {"model.classifier.3.weight": weight[1:]},
        "other dtype": {"model.classifier.3.weight": weight.double()},
        "additional": {"model.classifier.3.weight": weight, "model.fc.weight": weight},
    }[change]
    tensors["model.stem.0.weight"] += 1
    before = learner.model.state_dict()["stem.0.weight"].clone()
    with pytest.raises(
        RunError, match=r"from a different model \(.* differ\); remove the run folder to start from scratch\."
    ):
        begin(learner, replace(saved, tensors=tensors))
    assert torch.equal(learner.model.state_dict()["stem.0.weight"], before)
