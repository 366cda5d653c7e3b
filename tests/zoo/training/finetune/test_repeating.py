from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from quick_runs import LEARNS, QUICK
from zoo.errors import NameNotFound
from zoo.registry.registry import Registry
from zoo.training.finetune import finetune


def are_equal(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_the_model_file_contains_the_weights_of_the_best_epoch(
    registry: Registry, photos: Path, tmp_path: Path
) -> None:
    best = finetune("net", photos, output=tmp_path / "long", registry=registry, **{**LEARNS, "schedule": "constant"})
    epochs = best.facts["best"]["epoch"]
    again = finetune(
        "net",
        photos,
        output=tmp_path / "short",
        registry=registry,
        **{**LEARNS, "schedule": "constant", "epochs": epochs},
    )
    assert again.facts["best"]["epoch"] == epochs
    assert are_equal(load_file(best.path / "model.safetensors"), load_file(again.path / "model.safetensors"))


def test_the_same_seed_produces_the_same_run_regardless_of_the_callers_random_state(
    registry: Registry, photos: Path, tmp_path: Path
) -> None:
    runs = []
    for number, workers in enumerate((0, 2)):
        torch.manual_seed(number)
        runs.append(
            finetune("net", photos, output=tmp_path / f"{number}", registry=registry, **{**QUICK, "workers": workers})
        )
    weights = [load_file(run.path / "model.safetensors") for run in runs]
    assert are_equal(*weights)
    assert runs[0].facts["best"] == runs[1].facts["best"]


def test_a_different_seed_produces_different_weights(registry: Registry, photos: Path, tmp_path: Path) -> None:
    weights = []
    for seed in (0, 1):
        run = finetune("net", photos, output=tmp_path / f"{seed}", registry=registry, **{**QUICK, "seed": seed})
        weights.append(load_file(run.path / "model.safetensors"))
    assert not are_equal(*weights)


@pytest.mark.parametrize("fails", [False, True])
def test_the_callers_random_state_is_restored(
    registry: Registry,
    photos: Path,
    output: Path,
    *,
    fails: bool,
) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    options = {**QUICK, "train": "from:nowhere" if fails else "all"}
    if fails:
        with pytest.raises(NameNotFound):
            finetune("net", photos, output=output, registry=registry, **options)
    else:
        finetune("net", photos, output=output, registry=registry, **options)
    assert torch.equal(torch.get_rng_state(), before)
