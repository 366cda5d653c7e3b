"""Out of memory outside of training steps: the run continues in a different way, or ends with a clear error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from acme import draw_photos, make_acme
from made_registries import registry_of
from out_of_memory import SAYINGS, Once
from quick_runs import LEARNS
from recording_progress import RecordingProgress
from zoo.engine.features.extractor import NUM_VERIFIED
from zoo.errors import TrainingError
from zoo.plugin import BackboneSpec
from zoo.training.finetune import finetune

#: Whether memory runs out for images of shape (N, C, H, W), in training mode or not.
When = Callable[[Tensor, bool], bool]

OPTIONS: dict[str, Any] = {**LEARNS, "epochs": 2, "augment": "none", "precision": "fp32"}


@dataclass(frozen=True)
class Place:
    """A forward pass that runs out of memory once."""

    when: When
    options: Mapping[str, Any] = field(default_factory=dict)
    message: str = "note: out of memory; splitting each batch into 2 micro-batches from now on"
    #: Options with which a run that does not run out of memory has the same result.
    instead: Mapping[str, Any] = field(default_factory=dict)


def evaluation_batch_of(count: int) -> When:
    """Match evaluation batches of this size."""
    return lambda images, is_training: len(images) == count and not is_training


def any_batch_of(count: int) -> When:
    """Match all batches of this size."""
    return lambda images, _is_training: len(images) == count


def is_gray(images: Tensor) -> bool:
    return not images.any()


#: There are 22 training, 10 validation and 2 test images. Batches have 6 images, or 32 if features are computed. With
#: 3 images zoo proves that the features need to be computed only once.
PLACES = {
    "evaluation": Place(evaluation_batch_of(6)),
    "test": Place(evaluation_batch_of(2)),
    "features": Place(evaluation_batch_of(32), {"train": "head"}),
    "features of a view": Place(evaluation_batch_of(22), {"train": "head", "augment": "crop-flip", "views": 2}),
    "features at a cut": Place(evaluation_batch_of(32), {"train": "from:layer2"}),
    **{
        f"proof of {name}": Place(
            any_batch_of(count),
            {"train": train},
            "note: frozen features are computed in every epoch: "
            "not enough memory to verify that cached features lead to the same logits",
            {"cache": False},
        )
        for name, train, count in (
            ("features", "head", NUM_VERIFIED),
            ("a cut", "from:layer2", NUM_VERIFIED),
            ("the rest", "from:layer2", NUM_VERIFIED - 1),
        )
    },
}


@dataclass(frozen=True)
class Outcome:
    """The metrics, the weights and the messages of a run."""

    figures: list[float]
    model: dict[str, Tensor]
    lines: list[str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed, (split, count) in enumerate({"train": 11, "val": 5, "test": 1}.items()):
        draw_photos(folder / split, per_class=count, seed=seed)
    return folder


def build_with(fail: Callable[[nn.Module, Tensor], None]) -> BackboneSpec:
    """Return a spec of the tiny network that calls ``fail`` with each batch."""
    spec = make_acme()

    def build(tag: str | None) -> nn.Module:
        model = spec.build(tag)
        model.register_forward_pre_hook(lambda module, given: fail(module, given[0]))
        return model

    return replace(spec, build=build, supports=("bf16",))


def run(photos: Path, output: Path, fail: Callable[[nn.Module, Tensor], None], **options: Any) -> Outcome:
    progress, registry = RecordingProgress(), registry_of(build_with(fail))
    finished = finetune("net", photos, output=output, registry=registry, progress=progress, **{**OPTIONS, **options})
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    figures = [line[name] for line in lines for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")]
    tested = [finished.facts["test"][name] for name in ("loss", "accuracy")]
    return Outcome([*figures, *tested], load_file(output / "model.safetensors"), progress.lines)


@pytest.fixture(scope="module")
def with_enough_memory(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """Return a function that trains with enough memory, once for each place."""

    @cache
    def outcome(name: str) -> Outcome:
        options = {**PLACES[name].options, **PLACES[name].instead}
        return run(photos, tmp_path_factory.mktemp("enough") / "run", lambda _model, _images: None, **options)

    return outcome


def list_cases() -> Iterator[Any]:
    """List each place and each error at least once. The other combinations are slow tests."""
    for (place, name), (number, error) in product(enumerate(PLACES), enumerate(SAYINGS)):
        marks = () if number == place % len(SAYINGS) else pytest.mark.breadth
        yield pytest.param(name, error, marks=marks, id=f"{name}-{str(error)[:70]}")


@pytest.mark.parametrize(("name", "error"), [*list_cases()])
def test_a_run_continues_with_the_same_metrics(
    photos: Path, output: Path, with_enough_memory: Callable[[str], Outcome], *, name: str, error: Exception
) -> None:
    place, raise_once = PLACES[name], Once(error)

    def fail(model: nn.Module, images: Tensor) -> None:
        if place.when(images, model.training):
            raise_once()

    found, expected = run(photos, output, fail, **place.options), with_enough_memory(name)
    assert not raise_once.errors
    assert len([line for line in found.lines if line.startswith(place.message)]) == 1
    assert not [line for line in expected.lines if "memory" in line]
    assert found.figures == pytest.approx(expected.figures, abs=1e-6)
    torch.testing.assert_close(found.model, expected.model, rtol=0, atol=1e-6)


@pytest.mark.parametrize("error", SAYINGS, ids=lambda error: str(error)[:70])
@pytest.mark.parametrize(
    ("train", "when", "message"),
    [
        ("all", lambda images, _is_training: is_gray(images), "not enough memory; use a smaller"),
        (
            "all",
            lambda images, is_training: not (is_training or is_gray(images)),
            "not enough memory for one image at a time",
        ),
        (
            "head",
            lambda images, _is_training: len(images) < 3 and not is_gray(images),
            "not enough memory for one image at a time",
        ),
    ],
    ids=["first gray image", "evaluation", "features"],
)
def test_if_nothing_helps_there_is_a_clear_error(
    photos: Path, output: Path, *, error: Exception, train: str, when: When, message: str
) -> None:
    def fail(model: nn.Module, images: Tensor) -> None:
        if when(images, model.training):
            raise error

    with pytest.raises(TrainingError, match=message) as caught:
        run(photos, output, fail, train=train)
    assert "\n" not in str(caught.value)
    assert not (output / "run.json").exists()
