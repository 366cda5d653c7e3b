"""Whatever becomes of a run, the best model of its history is there, and can be read."""

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
from zoo.data.dataset import Images, open_images
from zoo.data.pixel_cache import Views
from zoo.engine.batches import ImageBatchSource
from zoo.engine.metrics import Epoch
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.errors import TrainingError
from zoo.plugin import BlockSpec
from zoo.progress import Silent
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.folder import CHECKPOINTS, MODEL, RunFolder
from zoo.runs.lock import RunLock
from zoo.runs.record import Record
from zoo.training.callbacks import Callbacks, RunCallbacks, recording
from zoo.training.prepare import Plan
from zoo.training.resume import EarlierRun, find_earlier, note_begin

#: Two steps an epoch, on four images.
RECIPE = Recipe(
    weights="none", batch_size=2, epochs=4, workers=0, device="cpu", lr=0.01, schedule="constant", augment="none"
)
#: What happens after a step: nothing; time goes by; the state is saved; the newest state is lost; Ctrl-C; an error of
#: ours; a kill, when so many more files and folders have been brought to the disk.
Event = str | int
EVENTS: list[Event] = [*["nothing", "save"] * 4, *["time", "fail"] * 2, "prune", "interrupt", 0, 1, 3, 4, 5]
#: What an epoch is measured as: how many of two images are told right, and how much is made of it.
Figure = tuple[int, float]
FIGURES: list[Figure] = [(right, scale) for right in range(3) for scale in (1.0, 2.0)] + [(1, math.nan), (2, math.inf)]


def build(_tag: str | None) -> nn.Module:
    body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 4), nn.Tanh())
    return nn.Sequential(OrderedDict(body=body, fc=nn.Linear(4, 10)))


SPEC = replace(make_acme(), build=build, head=("fc",), classifier=None, blocks=(BlockSpec("body", ("body",)),))
VIEWS = Views.build(SPEC.input, "none")


class Killed(BaseException):
    """The process is gone."""


class Failed(Exception):
    """An error of ours."""


class Disk:
    """Where files are brought to until the process is killed."""

    def __init__(self) -> None:
        self.left = math.inf

    def __call__(self, _path: Path) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


class Fate(Callbacks):
    """Keeps a run as it should be kept, and lets happen to it what is to happen."""

    def __init__(self, life: Life, keeper: RunCallbacks) -> None:
        self._life = life
        self._keeper = keeper

    def on_step(self) -> None:
        self._keeper.on_step()
        event = next(self._life.events, "nothing")
        if event == "time":
            self._life.now += 1000
        elif event == "save":
            self._keeper._saver.save()
        elif event == "prune":
            self._life.prune()
        elif event == "interrupt":
            raise KeyboardInterrupt
        elif event == "fail":
            raise Failed
        elif isinstance(event, int):
            self._life.disk.left = event

    def on_epoch(self, epoch: Epoch, probabilities: Tensor, model: nn.Module, *, is_best: bool) -> None:
        self._life.models[epoch.epoch] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        self._keeper.on_epoch(epoch, probabilities, model, is_best=is_best)
        self._life.require_readable()


class Life:
    """A run of the tiny network through all its processes."""

    def __init__(self, images: Images, output: Path, events: Sequence[Event], figures: Sequence[Figure]) -> None:
        self._images = images
        self._output = output
        self.events, self._figures = iter(events), iter(figures)
        self.disk = Disk()
        self.now = 0.0
        #: As they were at the end of each epoch.
        self.models: dict[int, dict[str, Tensor]] = {}

    def measure(self, model: nn.Module, _given: object, _logits: Tensor) -> Tensor | None:
        """Say of two images, one of each class, what comes to the next figure."""
        if model.training:
            return None
        right, scale = next(self._figures, (1, 1.0))
        said = torch.eye(2)[[0 if right else 1, 1 if right == 2 else 0]]
        return said * scale

    def live(self) -> bool:
        """Go on in a process of its own, and tell whether the run has come to its end in it."""
        self.disk.left = math.inf
        with RunLock() as lock:
            earlier = find_earlier(self._output, lock, Silent())
        fit = replace(make_phase(SPEC, self._images, RECIPE), views=VIEWS)
        fit.network.model.register_forward_hook(self.measure)
        state = TrainingState(fit.network.model, earlier.state if earlier else None)
        try:
            self._run(fit, state, self._open_record(earlier))
        except Killed:
            self.require_readable()
            return False
        except (KeyboardInterrupt, Failed, TrainingError):
            self.require_best(state.history)
            return False
        self.require_best(state.history)
        assert [epoch.epoch for epoch in state.history] == list(range(1, RECIPE.epochs + 1))
        return True

    def _open_record(self, earlier: EarlierRun | None) -> Record:
        folder = earlier.folder if earlier else RunFolder.claim(self._output, "net", "photos")
        facts = {"recipe": {"save_every": None, "baseline": "none", "shard": False}, "frozen": {}}
        record = Record(folder, facts, Registry([], RegistryToml()), Silent())
        if earlier and earlier.state:
            history = earlier.state.facts["history"]
            self.require_best([Epoch(**line) for line in history])
            record.resume(earlier.run, history)
        else:
            note_begin(record)
        return record

    def _run(self, fit: Phase, state: TrainingState, record: Record) -> None:
        plan = Plan(fit.network, (), (RECIPE,), (), self._images, VIEWS, fit.hardware, {})
        feed = ImageBatchSource(fit.network.model, fit.images, fit.views, fit.recipe, fit.hardware)
        with closing(feed), recording(plan, state, record, Silent()) as keeper:
            assert isinstance(keeper, RunCallbacks)
            keeper._best_model._clock = self.tell
            fit.begin(0, feed, state, Silent())
            fit.run(feed, state, Fate(self, keeper), Silent())

    def tell(self) -> float:
        """Tell the time, in seconds: a model takes one to be written."""
        self.now += 1
        return self.now

    def prune(self) -> None:
        """Lose the newest state, unless it is the only one."""
        states = sorted((self._output / CHECKPOINTS).glob("*.sha256"))
        for path in states[1:][-1:]:
            path.unlink()

    def require_readable(self) -> None:
        """Demand that the file, if there is one, holds the model of an epoch."""
        path = self._output / MODEL
        if path.exists():
            found = load_file(path)
            assert any(are_equal(found, model) for model in self.models.values())

    def require_best(self, history: Sequence[Epoch]) -> None:
        """Demand that it holds that of the best one."""
        assert all(math.isfinite(epoch.val_loss) for epoch in history)
        if history:
            best = max(history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
            assert are_equal(load_file(self._output / MODEL), self.models[best.epoch])


@pytest.fixture
def images(few_photos: Path, registry: Registry) -> Images:
    return open_images(few_photos, registry=registry, seed=0, progress=Silent())


# Killed while a state is written, and when a state was that tells of a best model which was not written yet.
@example(events=["nothing", "nothing", 4, "save", 0], figures=[(0, 1.0), (2, 1.0)])
@example(events=[*["nothing"] * 4, "save", 0], figures=[(0, 1.0), (2, 1.0)])
@given(events=st.lists(st.sampled_from(EVENTS), max_size=25), figures=st.lists(st.sampled_from(FIGURES), max_size=10))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_best_model_of_the_history_is_there(
    images: Images, events: list[Event], figures: list[Figure]
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        life = Life(images, Path(folder) / "run", events, figures)
        monkeypatch.setattr("zoo.files.atomic._synchronise", life.disk)
        while not life.live():
            pass


def are_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())
