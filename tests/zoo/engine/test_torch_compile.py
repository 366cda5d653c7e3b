"""A network that is compiled: for which batches, and what is done where compiling fails."""

from __future__ import annotations

import gc
import signal
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from short_memory import SAYINGS
from told import Told
from worlds import Ended, in_world
from zoo.engine.criterion import Criterion
from zoo.engine.device import choose_hardware
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.world import ALONE, World
from zoo.engine.learner import Learner
from zoo.engine.micro_batches import MicroBatches
from zoo.engine.optimizer import build_optimizer
from zoo.engine.schedule import Schedule
from zoo.engine.step import take_step
from zoo.engine.torch_compile import CannotCompile, CompiledModel, find_obstacle
from zoo.models.freeze import Frozen

IMAGES, LABELS = torch.linspace(-1, 1, 5 * 12).reshape(5, 3, 2, 2), torch.tensor([0, 1, 1, 0, 1])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise: tests started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class InPieces(nn.Module):
    """It could be compiled in two pieces, but not as a whole."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.norm = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(12, 2)

    def forward(self, images: Tensor) -> Tensor:
        images = self.norm(images)
        torch._dynamo.graph_break()  # type: ignore[no-untyped-call]  # torch's own
        logits: Tensor = self.fc(self.dropout(images.flatten(1)))
        return logits


class Whole(nn.Module):
    """It can be compiled."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.fc(images.flatten(1))
        return logits


def make_learner(model: nn.Module, compiled: CompiledModel | None, world: World = ALONE) -> Learner:
    frozen = Frozen(model, ("norm", "fc"))
    frozen.train()
    return Learner(
        model=model,
        frozen=frozen,
        criterion=Criterion(),
        optimizer=build_optimizer("sgd", model.parameters(), 0.1, 0.0),
        schedule=Schedule("constant", 4),
        hardware=choose_hardware("cpu", "fp32", world),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        seed=0,
        compiled=compiled,
    )


def learn_twice(size: int | None, told: Told | None = None, world: World = ALONE) -> dict[str, Tensor]:
    """Learn twice from this process's share of five images; with a size, what has so many images is compiled."""
    model = InPieces()
    learner = make_learner(model, None if size is None else CompiledModel(model, size, (told or Told()).say), world)
    mine = slice(5 * world.rank // world.size, 5 * (world.rank + 1) // world.size)
    for seed in (7, 8):
        take_step(learner, IMAGES[mine], LABELS[mine], seed)
    return model.state_dict()


def test_what_cannot_be_compiled_runs_as_it_is_and_that_is_said_once() -> None:
    told = Told()
    found, wanted = learn_twice(5, told), learn_twice(None)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    first, note = told.lines
    assert first == "compiling the network: the first step takes longer"
    assert note.startswith("note: compiling fails, and the network runs as it is: Unsupported: ")
    assert "\n" not in note


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("kind", [InPieces, Whole])
def test_nothing_is_learned_from_what_an_interrupt_may_have_spoiled(
    kind: type[nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    told, model = Told(), kind()

    def interrupt(line: str) -> None:
        told.say(line)
        if len(told.lines) == 1:
            signal.raise_signal(signal.SIGINT)

    learner = make_learner(model, CompiledModel(model, 5, interrupt))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        take_step(learner, IMAGES, LABELS, 7)
    assert told.lines == ["compiling the network: the first step takes longer"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert learner.compiled  # as it will be when the run goes on


def test_only_batches_of_the_usual_size_are_compiled() -> None:
    told, model = Told(), InPieces()
    compiled = CompiledModel(model, 6, told.say)
    assert compiled.choose(5) is compiled.choose(7) is model
    assert told.lines == []
    assert compiled.choose(6) is compiled.choose(6) is not model
    assert len(told.lines) == 1


def test_what_other_phases_compiled_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    for width in range(1, 11):  # torch compiles a function eight times, and not again
        model = nn.Sequential(nn.Linear(width, 2))
        compiled = CompiledModel(model, 3, Told().say)
        images = torch.ones(3, width)
        with compiled.attempting():
            logits = compiled.choose(3)(images)
        assert torch.allclose(logits, model(images))


def test_all_processes_give_it_up_where_one_cannot_compile() -> None:
    def work(rank: int) -> tuple[list[str], dict[str, Tensor]]:
        told = Told()
        with join_world() as world:
            # Rank 0 has two images, and never compiles anything; rank 1 has three.
            return told.lines, learn_twice(3 if rank else 2 + 7, told, world)

    def alone(_rank: int) -> dict[str, Tensor]:
        with join_world() as world:
            return learn_twice(None, None, world)

    ended, wanted = in_world(2, work), in_world(2, alone)
    lines = [get(end)[0] for end in ended]
    (said,) = lines[0]
    assert said.startswith("note: compiling fails, and the network runs as it is: rank 1: Unsupported: ")
    assert lines[1][1].startswith("note: compiling fails, and the network runs as it is: Unsupported: ")
    for end, plain in zip(ended, wanted, strict=True):
        assert all(torch.equal(get(end)[1][name], tensor) for name, tensor in get(plain).items())


def get(ended: Ended) -> Any:
    assert ended.code == 0, ended.raised
    return ended.result


@pytest.mark.parametrize("error", SAYINGS, ids=str)
def test_a_network_that_is_short_of_memory_is_not_given_up(error: Exception) -> None:
    with pytest.raises(type(error)), make_compiled().attempting():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        TorchDynamoException("backend='inductor' raised: cc1plus: out of memory allocating 65536 bytes"),
        RuntimeError("no such kernel"),
        OSError(28, "No space left on device", "a.so"),
    ],
    ids=repr,
)
def test_whatever_else_fails_may_be_the_compiler(error: Exception) -> None:
    with pytest.raises(CannotCompile) as caught, make_compiled().attempting():
        raise error
    assert str(caught.value).startswith(f"{type(error).__name__}: ")
    assert "\n" not in str(caught.value)


def make_compiled() -> CompiledModel:
    return CompiledModel(nn.Identity(), 1, Told().say)


@pytest.mark.parametrize(
    ("kind", "is_fixed", "words"),
    [("images", False, None), ("features", False, "learn from kept features"), ("images", True, "wait for each other")],
)
def test_it_is_left_out_where_it_is_of_no_use_or_in_the_way(kind: str, words: str | None, *, is_fixed: bool) -> None:
    obstacle = find_obstacle(kind, MicroBatches(1, is_fixed=is_fixed))
    assert obstacle == words or (words and obstacle and words in obstacle)


def test_a_network_that_has_no_length_is_compiled() -> None:
    told = Told()
    model = Whole()  # torch's compiled module asks it for its length where its truth is asked for
    learner = make_learner(model, CompiledModel(model, len(IMAGES), told.say))
    take_step(learner, IMAGES, LABELS, 0)
    assert told.lines == ["compiling the network: the first step takes longer"]
    assert learner.compiled is not None
    assert learner.steps == 1


class Reluctant(nn.Module):
    """Cannot be compiled, and notes whether a tensor of the failed attempt is there when it runs as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 2)
        self.refs: list[weakref.ref[Tensor]] = []
        self.is_left: bool | None = None

    def forward(self, images: Tensor) -> Tensor:
        activations = images.flatten(1) * 2
        if not self.refs:
            self.refs.append(weakref.ref(activations))
            raise RuntimeError("no such kernel")
        self.is_left = self.refs[0]() is not None
        logits: Tensor = self.fc(activations)
        return logits


def test_nothing_of_a_failed_compilation_is_in_memory_when_the_network_runs_as_it_is() -> None:
    model = Reluctant()
    compiled = CompiledModel(model, len(IMAGES), Told().say)
    compiled._compiled = model  # it fails as a compiled network may, without the compiler
    gc.collect()
    gc.disable()
    try:
        take_step(make_learner(model, compiled), IMAGES, LABELS, 0)
    finally:
        gc.enable()
    assert model.is_left is False
