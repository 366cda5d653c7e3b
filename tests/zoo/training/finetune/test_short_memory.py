"""Memory that is short where nothing is learned: it goes on in parts, or another way, or with one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from acme import draw_photos, make_acme
from made_registries import registry_of
from quick_runs import LEARNS
from short_memory import SAYINGS, Once
from told import Told
from zoo.engine.features.extractor import PROOF
from zoo.errors import TrainingError
from zoo.plugin import BackboneSpec
from zoo.training.finetune import finetune

#: Tells, of the images that enter the network and of whether it learns, that memory is short for them.
When = Callable[[Tensor, bool], bool]

OPTIONS: dict[str, Any] = {**LEARNS, "epochs": 2, "augment": "none", "precision": "fp32"}


@dataclass(frozen=True)
class Place:
    """Where it is short, in a run of which options; what is said, and with which options it comes to the same."""

    when: When
    options: Mapping[str, Any] = field(default_factory=dict)
    says: str = "note: out of memory; splitting each batch into 2 micro-batches from now on"
    instead: Mapping[str, Any] = field(default_factory=dict)


def seen(count: int) -> When:
    """Tell of so many images that are looked at and not learned from."""
    return lambda images, learns: len(images) == count and not learns


def entering(count: int) -> When:
    """Tell of so many images, learned from or not."""
    return lambda images, _learns: len(images) == count


def is_grey(images: Tensor) -> bool:
    return not images.any()


#: There are 22 images to learn from, 10 to measure on and 2 to test with. Batches hold 6, and 32 where features are
#: computed; 4 images are the proof that once is enough.
PLACES = {
    "evaluation": Place(seen(6)),
    "test": Place(seen(2)),
    "features": Place(seen(32), {"train": "head"}),
    "features of a view": Place(seen(22), {"train": "head", "augment": "crop-flip", "views": 2}),
    "features at a cut": Place(seen(32), {"train": "from:layer2"}),
    **{
        f"proof of {name}": Place(
            entering(count),
            {"train": train},
            "note: the frozen part is computed in every epoch: "
            "not enough memory to prove that cached features give the same logits",
            {"cache": False},
        )
        for name, train, count in (
            ("features", "head", PROOF),
            ("a cut", "from:layer2", PROOF),
            ("the rest", "from:layer2", PROOF - 1),
        )
    },
}


@dataclass(frozen=True)
class Outcome:
    """What a run came to, and what it said."""

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
    """Make a spec of the tiny network that looks at what enters it."""
    spec = make_acme()

    def build(tag: str | None) -> nn.Module:
        model = spec.build(tag)
        model.register_forward_pre_hook(lambda module, given: fail(module, given[0]))
        return model

    return replace(spec, build=build, supports=("bf16",))


def run(photos: Path, output: Path, fail: Callable[[nn.Module, Tensor], None], **options: Any) -> Outcome:
    told, registry = Told(), registry_of(build_with(fail))
    finished = finetune("net", photos, output=output, registry=registry, progress=told, **{**OPTIONS, **options})
    lines = [json.loads(line) for line in (output / "history.jsonl").read_text(encoding="utf-8").splitlines()]
    figures = [line[name] for line in lines for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")]
    tested = [finished.facts["test"][name] for name in ("loss", "accuracy")]
    return Outcome([*figures, *tested], load_file(output / "model.safetensors"), told.lines)


@pytest.fixture(scope="module")
def enough(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Outcome]:
    """What a run comes to where memory suffices; once for all tests of a place."""

    @cache
    def outcome(name: str) -> Outcome:
        options = {**PLACES[name].options, **PLACES[name].instead}
        return run(photos, tmp_path_factory.mktemp("enough") / "run", lambda _model, _images: None, **options)

    return outcome


@pytest.mark.parametrize("error", SAYINGS, ids=lambda error: str(error)[:70])
@pytest.mark.parametrize("name", PLACES)
def test_it_goes_on_with_the_same_figures(
    photos: Path, output: Path, enough: Callable[[str], Outcome], *, name: str, error: Exception
) -> None:
    place, short = PLACES[name], Once(error)

    def fail(model: nn.Module, images: Tensor) -> None:
        if place.when(images, model.training):
            short()

    found, wanted = run(photos, output, fail, **place.options), enough(name)
    assert not short.errors
    assert len([line for line in found.lines if line.startswith(place.says)]) == 1
    assert not [line for line in wanted.lines if "memory" in line]
    assert found.figures == pytest.approx(wanted.figures, abs=1e-6)
    torch.testing.assert_close(found.model, wanted.model, rtol=0, atol=1e-6)


@pytest.mark.parametrize("error", SAYINGS, ids=lambda error: str(error)[:70])
@pytest.mark.parametrize(
    ("train", "when", "says"),
    [
        ("all", lambda images, _learns: is_grey(images), "not enough memory; take a smaller"),
        ("all", lambda images, learns: not (learns or is_grey(images)), "not enough memory for one image at a time"),
        (
            "head",
            lambda images, _learns: len(images) < 3 and not is_grey(images),
            "not enough memory for one image at a time",
        ),
    ],
    ids=["first grey image", "evaluation", "features"],
)
def test_where_it_cannot_be_helped_it_is_one_clear_error(
    photos: Path, output: Path, *, error: Exception, train: str, when: When, says: str
) -> None:
    def fail(model: nn.Module, images: Tensor) -> None:
        if when(images, model.training):
            raise error

    with pytest.raises(TrainingError, match=says) as caught:
        run(photos, output, fail, train=train)
    assert "\n" not in str(caught.value)
    assert not (output / "run.json").exists()
