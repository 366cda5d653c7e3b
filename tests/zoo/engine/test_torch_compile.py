"""Compiled models: which batches they run, and what happens if compilation fails."""

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

from out_of_memory import SAYINGS
from recording_progress import RecordingProgress
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
from zoo.registry.optimizer_design import OptimizerDesign
from zoo.registry.schedule_design import ScheduleDesign

IMAGES, LABELS = torch.linspace(-1, 1, 5 * 12).reshape(5, 3, 2, 2), torch.tensor([0, 1, 1, 0, 1])


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Make Ctrl-C raise KeyboardInterrupt; processes started in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class WithGraphBreak(nn.Module):
    """A model that cannot be compiled as a full graph."""

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


class Compilable(nn.Module):
    """A model that can be compiled."""

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
        optimizer=build_optimizer(OptimizerDesign("sgd"), model.parameters(), 0.1, 0.0),
        schedule=Schedule(ScheduleDesign("constant"), 4),
        hardware=choose_hardware("cpu", "fp32", world),
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        seed=0,
        compiled=compiled,
    )


def take_two_steps(
    size: int | None, progress: RecordingProgress | None = None, world: World = ALONE
) -> dict[str, Tensor]:
    """Take two steps on this process's part of five images, and compile batches of ``size`` images."""
    model = WithGraphBreak()
    learner = make_learner(
        model, None if size is None else CompiledModel(model, size, (progress or RecordingProgress()).say), world
    )
    mine = slice(5 * world.rank // world.size, 5 * (world.rank + 1) // world.size)
    for seed in (7, 8):
        take_step(learner, (IMAGES[mine], LABELS[mine]), seed)
    return model.state_dict()


def test_a_model_that_cannot_be_compiled_runs_uncompiled_with_one_message() -> None:
    progress = RecordingProgress()
    found, expected = take_two_steps(5, progress), take_two_steps(None)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    first, note = progress.lines
    assert first == "compiling the model: the first step takes longer"
    assert note.startswith("note: compilation failed, so the model runs uncompiled: Unsupported: ")
    assert "\n" not in note


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("kind", [WithGraphBreak, pytest.param(Compilable, marks=pytest.mark.breadth)])
def test_an_interrupted_compilation_changes_nothing(
    kind: type[nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    progress, model = RecordingProgress(), kind()

    def interrupt(line: str) -> None:
        progress.say(line)
        if len(progress.lines) == 1:
            signal.raise_signal(signal.SIGINT)

    learner = make_learner(model, CompiledModel(model, 5, interrupt))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        take_step(learner, (IMAGES, LABELS), 7)
    assert progress.lines == ["compiling the model: the first step takes longer"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert learner.compiled  # a resumed run compiles the model again


def test_only_batches_of_the_usual_size_are_compiled() -> None:
    progress, model = RecordingProgress(), WithGraphBreak()
    compiled = CompiledModel(model, 6, progress.say)
    assert compiled.choose(5) is compiled.choose(7) is model
    assert progress.lines == []
    assert compiled.choose(6) is compiled.choose(6) is not model
    assert len(progress.lines) == 1


@pytest.mark.breadth
def test_compilations_of_other_phases_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    for width in range(1, 11):  # torch compiles a function at most eight times
        model = nn.Sequential(nn.Linear(width, 2))
        compiled = CompiledModel(model, 3, RecordingProgress().say)
        images = torch.ones(3, width)
        with compiled.attempting():
            logits = compiled.choose(3)(images)
        assert torch.allclose(logits, model(images))


def test_all_processes_give_up_if_one_cannot_compile() -> None:
    def work(rank: int) -> tuple[list[str], dict[str, Tensor]]:
        progress = RecordingProgress()
        with join_world() as world:
            # Rank 0 has two images and never compiles; rank 1 has three.
            return progress.lines, take_two_steps(3 if rank else 2 + 7, progress, world)

    def alone(_rank: int) -> dict[str, Tensor]:
        with join_world() as world:
            return take_two_steps(None, None, world)

    ended, expected = in_world(2, work), in_world(2, alone)
    lines = [get(end)[0] for end in ended]
    (message,) = lines[0]
    assert message.startswith("note: compilation failed, so the model runs uncompiled: rank 1: Unsupported: ")
    assert lines[1][1].startswith("note: compilation failed, so the model runs uncompiled: Unsupported: ")
    for end, plain in zip(ended, expected, strict=True):
        assert all(torch.equal(get(end)[1][name], tensor) for name, tensor in get(plain).items())


def get(ended: Ended) -> Any:
    assert ended.code == 0, ended.raised
    return ended.result


@pytest.mark.parametrize("error", SAYINGS, ids=str)
def test_out_of_memory_is_not_a_failed_compilation(error: Exception) -> None:
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
def test_any_other_error_is_a_failed_compilation(error: Exception) -> None:
    with pytest.raises(CannotCompile) as caught, make_compiled().attempting():
        raise error
    assert str(caught.value).startswith(f"{type(error).__name__}: ")
    assert "\n" not in str(caught.value)


def make_compiled() -> CompiledModel:
    return CompiledModel(nn.Identity(), 1, RecordingProgress().say)


@pytest.mark.parametrize(
    ("kind", "is_fixed", "words"),
    [
        ("images", False, None),
        ("features", False, "training uses cached features"),
        ("images", True, "communication between processes"),
    ],
)
def test_compilation_is_skipped_if_it_is_useless_or_impossible(kind: str, words: str | None, *, is_fixed: bool) -> None:
    obstacle = find_obstacle(kind, MicroBatches(1, is_fixed=is_fixed))
    assert obstacle == words or (words and obstacle and words in obstacle)


def test_a_model_without_a_length_is_compiled() -> None:
    progress = RecordingProgress()
    model = Compilable()  # the truth value of torch's compiled module is the length of the model
    learner = make_learner(model, CompiledModel(model, len(IMAGES), progress.say))
    take_step(learner, (IMAGES, LABELS), 0)
    assert progress.lines == ["compiling the model: the first step takes longer"]
    assert learner.compiled is not None
    assert learner.steps == 1


class FailingOnce(nn.Module):
    """A model that fails in its first forward pass, and checks in the second whether tensors of the first are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(12, 2)
        self.refs: list[weakref.ref[Tensor]] = []
        self.is_alive: bool | None = None

    def forward(self, images: Tensor) -> Tensor:
        activations = images.flatten(1) * 2
        if not self.refs:
            self.refs.append(weakref.ref(activations))
            raise RuntimeError("no such kernel")
        self.is_alive = self.refs[0]() is not None
        logits: Tensor = self.fc(activations)
        return logits


def test_tensors_of_a_failed_compilation_are_freed_before_the_retry() -> None:
    model = FailingOnce()
    compiled = CompiledModel(model, len(IMAGES), RecordingProgress().say)
    compiled._compiled = model  # fails like a compiled model, but without a compiler
    gc.collect()
    gc.disable()
    try:
        take_step(make_learner(model, compiled), (IMAGES, LABELS), 0)
    finally:
        gc.enable()
    assert model.is_alive is False
