"""The best model of the history is on disk and readable, whatever happens to a run."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from acme import make_acme
from made_phases import make_phase
from run_facts import make_facts
from zoo.data.dataset import Images, open_images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import ImageBatchSource
from zoo.engine.metrics import Epoch
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.errors import TrainingError
from zoo.plugin import BlockSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.folder import CHECKPOINTS, MODEL, RunFolder
from zoo.runs.lock import RunLock
from zoo.runs.record import Record
from zoo.training.callbacks import Callbacks, RunCallbacks, recording
from zoo.training.prepare import Plan
from zoo.training.resume import EarlierRun, find_earlier, record_start

#: Two steps per epoch, on four images.
RECIPE = Recipe(
    weights="none", batch_size=2, epochs=4, workers=0, device="cpu", lr=0.01, schedule="constant", augment="none"
)
#: Event after a step: nothing; time passes; a checkpoint is saved; the newest checkpoint is lost; Ctrl-C; an error that
#: is a bug; or an integer: the process is killed after this number of further writes to the disk.
Event = str | int
EVENTS: list[Event] = [*["nothing", "save"] * 4, *["time", "fail"] * 2, "lose checkpoint", "interrupt", 0, 1, 3, 4, 5]
#: Validation result of an epoch: the number of correct predictions for two images, and the scale of the logits.
Figure = tuple[int, float]
FIGURES: list[Figure] = [(correct, scale) for correct in range(3) for scale in (1.0, 2.0)] + [
    (1, math.nan),
    (2, math.inf),
]


def build(_tag: str | None) -> nn.Module:
    body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4), nn.Tanh())
    return nn.Sequential(OrderedDict(body=body, fc=nn.Linear(4, 10)))


SPEC = replace(make_acme(), build=build, head=("fc",), classifier=None, blocks=(BlockSpec("body", ("body",)),))
VIEWS = Views.build(SPEC.input, "none")


class Killed(BaseException):
    """The process was killed."""


class Bug(Exception):
    """An error that is not a ZooError."""


class Disk:
    """A disk that kills the process after a number of writes."""

    def __init__(self) -> None:
        self.left = math.inf

    def __call__(self, _path: Path) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class EventfulCallbacks(Callbacks):
    """Callbacks that forward each call to those of the run, and trigger an event after each step."""

    def __init__(self, run: RestartedRun, callbacks: RunCallbacks) -> None:
        self._run = run
        self._callbacks = callbacks

    def on_step(self) -> None:
        self._callbacks.on_step()
        event = next(self._run.events, "nothing")
        if event == "time":
            self._run.now += 1000
        elif event == "save":
            self._callbacks._saver.save()
        elif event == "lose checkpoint":
            self._run.lose_newest_checkpoint()
        elif event == "interrupt":
            raise KeyboardInterrupt
        elif event == "fail":
            raise Bug
        elif isinstance(event, int):
            self._run.disk.left = event

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        self._run.models[epoch.epoch] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self._callbacks.on_epoch(epoch, probabilities, model, is_best=is_best)
        self._run.require_readable()


class RestartedRun:
    """A run of the tiny network, in as many processes as it takes."""

    def __init__(self, images: Images, output: Path, events: Sequence[Event], figures: Sequence[Figure]) -> None:
        self._images = images
        self._output = output
        self.events, self._figures = iter(events), iter(figures)
        self.disk = Disk()
        self.now = 0.0
        #: Models at the end of each epoch.
        self.models: dict[int, dict[str, Tensor]] = {}

    def measure(self, model: nn.Module, _given: object, _logits: Tensor) -> Tensor | None:
        """Return logits for two images, one of each class, that have the next validation result."""
        if model.training:
            return None
        correct, scale = next(self._figures, (1, 1.0))
        predicted = torch.eye(2)[[0 if correct else 1, 1 if correct == 2 else 0]]
        return predicted * scale

    def run_process(self) -> bool:
        """Start or resume the run in a new process, and return whether it finished."""
        self.disk.left = math.inf
        with RunLock() as lock:
            earlier = find_earlier(self._output, lock, Silent())
        phase = replace(make_phase(SPEC, self._images, RECIPE), views=VIEWS)
        phase.network.model.register_forward_hook(self.measure)
        state = TrainingState(phase.network.model, earlier.checkpoint if earlier else None)
        try:
            self._run(phase, state, self._open_record(earlier))
        except Killed:
            self.require_readable()
            return False
        except (KeyboardInterrupt, Bug, TrainingError):
            self.require_best(state.history)
            return False
        self.require_best(state.history)
        assert [epoch.epoch for epoch in state.history] == list(range(1, RECIPE.epochs + 1))
        return True

    def _open_record(self, earlier: EarlierRun | None) -> Record:
        folder = earlier.folder if earlier else RunFolder.claim(self._output, "net", "photos")
        facts = make_facts()
        facts["recipe"] |= {"save_every": None, "baseline": "none", "shard": False}
        record = Record(folder, facts, Registry([], RegistryToml()), Silent())
        if earlier and earlier.checkpoint:
            history = earlier.checkpoint.facts["history"]
            self.require_best([Epoch(**line) for line in history])
            record.resume(earlier.facts, history)
        else:
            record_start(record)
        return record

    def _run(self, phase: Phase, state: TrainingState, record: Record) -> None:
        plan = Plan(phase.network, (), (RECIPE,), (), self._images, VIEWS, phase.hardware, {})
        source = ImageBatchSource(phase.network.model, phase.images, phase.views, phase.recipe, phase.hardware)
        with closing(source), recording(plan, state, record, Silent()) as callbacks:
            assert isinstance(callbacks, RunCallbacks)
            callbacks._best_model._clock = self.read_clock
            phase.begin(0, source, state, Silent())
            phase.run(source, state, EventfulCallbacks(self, callbacks), Silent())

    def read_clock(self) -> float:
        """Return the time in seconds, which advances so that writing a model takes a second."""
        self.now += 1
        return self.now

    def lose_newest_checkpoint(self) -> None:
        """Lose the newest checkpoint, unless it is the only one."""
        states = sorted((self._output / CHECKPOINTS).glob("*.sha256"))
        for path in states[1:][-1:]:
            path.unlink()

    def require_readable(self) -> None:
        """Require that the model file, if it exists, contains the model of an epoch."""
        path = self._output / MODEL
        if path.exists():
            found = load_file(path)
            assert any(are_equal(found, model) for model in self.models.values())

    def require_best(self, history: Sequence[Epoch]) -> None:
        """Require that the model file contains the model of the best epoch."""
        assert all(math.isfinite(epoch.val_loss) for epoch in history)
        if history:
            best = max(history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
            assert are_equal(load_file(self._output / MODEL), self.models[best.epoch])


@pytest.fixture
def images(few_photos: Path, registry: Registry) -> Images:
    return open_images(few_photos, DataOptions(), registry=registry, progress=Silent())


# The process is killed while a checkpoint is written, or right after one whose best model is not written yet.
@example(events=["nothing", "nothing", 4, "save", 0], figures=[(0, 1.0), (2, 1.0)])
@example(events=[*["nothing"] * 4, "save", 0], figures=[(0, 1.0), (2, 1.0)])
@given(events=st.lists(st.sampled_from(EVENTS), max_size=25), figures=st.lists(st.sampled_from(FIGURES), max_size=10))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_best_model_is_on_disk_after_any_events(images: Images, events: list[Event], figures: list[Figure]) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        run = RestartedRun(images, Path(folder) / "run", events, figures)
        monkeypatch.setattr("zoo.files.atomic._synchronize", run.disk)
        while not run.run_process():
            pass


def are_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())
