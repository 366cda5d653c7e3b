"""The learning rate range test, and its suggestion."""

from __future__ import annotations

import math
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from made_phases import make_phase
from zoo.data.dataset import open_images
from zoo.engine.features.features import choose_batch_source
from zoo.engine.lr_range_test import EXPLODED, HIGHEST, LOWEST, TriedRate, lr_at, suggest_rate, try_rates
from zoo.engine.phase import Phase
from zoo.engine.state import TrainingState
from zoo.plugin import BackboneSpec
from zoo.progress import Silent
from zoo.registry.data_options import DataOptions
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.runs.report.lr_plot import draw_rates
from zoo.training.lr_find import find_lr

FAST = Recipe(weights="none", batch_size=6, workers=0, device="cpu")


@pytest.fixture
def phase(acme: BackboneSpec, photos: Path, registry: Registry) -> Phase:
    images = open_images(photos, DataOptions(), registry=registry, progress=Silent())
    return make_phase(acme, images, FAST)


def test_learning_rates_grow_by_the_same_factor() -> None:
    rates = [lr_at(step, 50) for step in range(50)]
    assert (rates[0], rates[-1]) == (pytest.approx(LOWEST), pytest.approx(HIGHEST))
    factors = [after / before for before, after in pairwise(rates)]
    assert max(factors) == pytest.approx(min(factors))


def test_the_test_ends_when_the_loss_explodes(phase: Phase) -> None:
    state = TrainingState(phase.network.model)
    with closing(choose_batch_source(phase, "", Silent())) as source:
        phase.begin(0, source, state, Silent())
        assert state.learner is not None
        tried = try_rates(state.learner, source, lambda _count: None)
    assert all(math.isfinite(trial.loss) for trial in tried)
    assert tried[-1].loss <= EXPLODED * min(trial.loss for trial in tried)


def test_the_learning_rate_at_which_the_loss_falls_fastest_is_suggested() -> None:
    losses = [1.0, 1.0, 0.95, 0.7, 0.4, 0.3, 0.28, 0.5, 2.0]
    tried = [TriedRate(10.0 ** (index - 6), loss) for index, loss in enumerate(losses)]
    assert suggest_rate(tried) == pytest.approx(1e-3)


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
def test_nothing_is_suggested_if_the_loss_never_falls(losses: list[float]) -> None:
    assert suggest_rate([TriedRate(10.0 ** (index - 6), loss) for index, loss in enumerate(losses)]) is None


def test_find_lr_needs_only_a_name_and_images(registry: Registry, photos: Path) -> None:
    found = find_lr("net", photos, registry=registry, weights="none", train="all", batch_size=6, workers=0)
    assert found.suggested is not None
    assert LOWEST < found.suggested < HIGHEST
    again = find_lr("net", photos, registry=registry, weights="none", train="all", batch_size=6, workers=0)
    assert again == found


def test_the_plot_is_svg_with_a_point_for_each_learning_rate() -> None:
    tried = [TriedRate(10.0 ** (index - 6), 1 / (index + 1)) for index in range(6)]
    root = ET.fromstring(draw_rates(tried, 1e-3))  # written by zoo
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    assert len(line.attrib["points"].split()) == 6
    assert "1.0e-03" in "".join(root.itertext())
    ET.fromstring(draw_rates([], None))  # written by zoo
