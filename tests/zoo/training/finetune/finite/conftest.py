"""Runs in which something goes wrong after the fifth step, and runs that are interrupted there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from acme import draw_photos
from made_registries import registry_of
from spoiling import OPTIONS, SPEC, TAKEN, LeftFiles
from zoo.engine.learner import Learner
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos with 12 training and 5 validation images per class, for all tests in this folder."""
    folder = tmp_path_factory.mktemp("photos")
    draw_photos(folder / "train", per_class=12, seed=1)
    draw_photos(folder / "val", per_class=5, seed=2)
    return folder


@pytest.fixture(scope="module")
def run(photos: Path) -> Callable[..., None]:
    """Return a function that trains, and calls another function after the fifth step."""

    def run(output: Path, then: Callable[[Learner], object], **options: Any) -> None:
        on_step, taken = RunCallbacks.on_step, []

        def count(callbacks: RunCallbacks) -> None:
            on_step(callbacks)
            taken.append(callbacks)
            learner = callbacks._saver._state.learner
            if len(taken) == TAKEN and learner is not None:
                then(learner)

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(RunCallbacks, "on_step", count)
            finetune("net", photos, output=output, registry=registry_of(SPEC), **{**OPTIONS, **options})

    return run


@pytest.fixture(scope="module")
def interrupted(run: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., LeftFiles]:
    """Return a function that interrupts a run after the fifth step, once for each set of options."""

    def stop(_learner: Learner) -> None:
        raise KeyboardInterrupt

    @cache
    def left(options: tuple[tuple[str, Any], ...]) -> LeftFiles:
        output = tmp_path_factory.mktemp("interrupted") / "run"
        with pytest.raises(KeyboardInterrupt):
            run(output, stop, **dict(options))
        return LeftFiles.of(output)

    return lambda **options: left(tuple(options.items()))
