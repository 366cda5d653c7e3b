"""Loss weights together with each training option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compared_training import require_equal, run_both
from option_values import BASE, VALUES, list_covering
from quick_runs import QUICK
from weighted_tables import write_table
from zoo.errors import OptionError
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


@pytest.fixture
def weighted(few_blue: Path, tmp_path: Path) -> Path:
    """A table of the images with weights from 0.25 to 4."""
    return write_table(tmp_path / "weighted.csv", few_blue, lambda place: 0.25 * 2 ** (place % 5))


@pytest.mark.parametrize(
    "name",
    [
        "label_smoothing",
        "balance=loss",
        "balance=sampling",
        "mixup",
        "cutmix",
        "accumulate",
        "ema",
        "views",
        "clip_norm",
    ],
)
def test_loss_weights_and_an_option_train_as_the_reference_does(weighted: Path, name: str) -> None:
    require_equal(*run_both(weighted, VALUES[name]))


@pytest.mark.parametrize("names", list_covering()[:4])
def test_loss_weights_and_many_options_train_as_the_reference_does(weighted: Path, names: tuple[str, ...]) -> None:
    require_equal(*run_both(weighted, {key: value for name in names for key, value in VALUES[name].items()}))


def test_loss_weights_change_the_training(few_blue: Path, weighted: Path) -> None:
    one, other = (run_both(data, {})[1].states[-1] for data in (few_blue, weighted))
    assert not all(tensor.equal(other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("options", [{"train": "head"}, {"train": "from:layer2", "augment": "none"}])
def test_weighted_features_train_as_weighted_images_do(
    registry: Registry, weighted: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    runs = [
        finetune(
            "net", weighted, output=tmp_path / f"{cache}", registry=registry, **{**BASE, **options, "cache": cache}
        )
        for cache in (True, False)
    ]
    histories = [(run.path / "history.jsonl").read_text(encoding="utf-8").splitlines() for run in runs]
    cached, computed = ([json.loads(line)["train_loss"] for line in lines] for lines in histories)
    assert cached == pytest.approx(computed, rel=1e-4)


def test_loss_weights_with_batches_of_one_image_are_refused(registry: Registry, weighted: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="use a `batch_size` of at least 2"):
        finetune("net", weighted, output=tmp_path / "run", registry=registry, **{**QUICK, "batch_size": 1})
