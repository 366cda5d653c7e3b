"""A run whose network is compiled is the same run, but for rounding; and where that fails it is the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch._dynamo.utils import counters
from torch._inductor import config

from acme import draw_photos
from quick_runs import LEARNS
from small import make_registry
from told import Told
from zoo.engine.criterion import Criterion
from zoo.errors import OptionError
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune

ROOT = Path(__file__).parents[4]
#: Batches of 10, 10 and 4 images. With sgd, as Adam takes whole steps along what is nothing but rounding.
OPTIONS: dict[str, Any] = {**LEARNS, "epochs": 2, "batch_size": 10, "optimizer": "sgd", "compile": True}
#: A run in a process that has compiled nothing before.
FIRST = f"""
import sys, torch
from small import make_registry
from zoo.training.finetune import finetune

torch.set_num_threads(1)
finetune("small", sys.argv[1], output=sys.argv[2], registry=make_registry(), **{OPTIONS})
"""
NO_COMPILER = {"cpp.cxx": (None, "/nowhere/g++")}
STARTS = "compiling the network: the first step takes longer"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first run leaves: its cache, temporary files, home, working folder, and what is said on stderr."""
    folder = tmp_path_factory.mktemp("first")
    draw_photos(folder / "photos" / "train", per_class=12, seed=1)
    draw_photos(folder / "photos" / "val", per_class=5, seed=2)
    for name in ("cache", "temporary", "home", "work"):
        (folder / name).mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHINDUCTOR_", "XDG_"))}
    environment |= {"ZOO_CACHE": f"{folder}/cache", "TMPDIR": f"{folder}/temporary", "HOME": f"{folder}/home"}
    environment |= {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "props")))}
    command = [sys.executable, "-c", FIRST, str(folder / "photos"), str(folder / "run")]
    with (folder / "stderr").open("w") as stderr:
        subprocess.run(command, check=True, cwd=folder / "work", env=environment, stderr=stderr, timeout=280)
    return folder


@pytest.fixture(autouse=True)
def compiled(first: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the first run compiled, which is compiled for all."""
    (folder,) = (first / "cache" / "compiled").iterdir()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    counters.clear()
    return folder


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Callable[..., tuple[dict[str, Tensor], list[str]]]:
    """Run with these options; return the weights, and what was said of compiling."""

    def run(name: str, **options: Any) -> tuple[dict[str, Tensor], list[str]]:
        told, output = Told(), tmp_path / name
        finetune("small", photos, output=output, registry=make_registry(), progress=told, **{**OPTIONS, **options})
        said = [line for line in told.lines if line.startswith(("compil", "note: compil"))]
        return load_file(output / "model.safetensors"), said

    return run


Runs = Callable[..., tuple[dict[str, Tensor], list[str]]]


def are_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def count_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_what_is_compiled_lies_in_the_cache_and_nothing_anywhere_else(first: Path, compiled: Path) -> None:
    assert compiled.name.startswith("torch-")
    assert list(compiled.rglob("*.so"))
    # Torch makes an empty folder there whenever torchvision is imported.
    assert [path for path in (first / "temporary").rglob("*") if path.is_file()] == []
    assert [*(first / "home").iterdir(), *(first / "work").iterdir()] == []


def test_torch_says_nothing_of_its_own(first: Path) -> None:
    assert (first / "stderr").read_text(encoding="utf-8") == ""


def test_results_are_the_same_but_for_rounding_and_names_are_upstreams(run: Runs) -> None:
    (found, said), (wanted, silence) = run("compiled"), run("plain", compile=False)
    assert (said, silence) == ([STARTS], [])
    assert found.keys() == wanted.keys()
    # Dropouts, too, drop the same.
    assert all(torch.allclose(found[name].float(), wanted[name].float(), rtol=0, atol=1e-5) for name in wanted)


def test_one_graph_is_compiled_for_all_epochs_and_measuring_needs_none(run: Runs) -> None:
    run("compiled")
    assert count_graphs() == 1


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_it_goes_on_after_any_step(run: Runs, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, _ = run("whole", optimizer="adamw")
    steps, on_step = [], RunCallbacks.on_step

    def interrupt(watch: RunCallbacks) -> None:
        on_step(watch)
        steps.append(1)
        if len(steps) == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunCallbacks, "on_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("torn", optimizer="adamw")
    found, _ = run("torn", optimizer="adamw", resume=True)
    assert len(steps) == 6
    assert are_equal(found, wanted)


def test_it_goes_on_compiled_or_not_as_it_began(run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunCallbacks, "on_step", lambda _keeper: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run("torn")
    with pytest.raises(OptionError, match="started with compile True, not False; resume it with the same"):
        run("torn", resume=True, compile=False)


def test_without_a_compiler_the_network_runs_as_it_is(run: Runs) -> None:
    # Batches of another size than any for which something lies in the cache.
    wanted, _ = run("plain", compile=False, batch_size=9)
    with config.patch(NO_COMPILER):
        found, (starts, note) = run("compiled", batch_size=9)
    assert starts == STARTS
    assert note.startswith("note: compiling fails, and the network runs as it is: InductorError: InvalidCxxCompiler: ")
    assert are_equal(found, wanted)


def test_a_compiler_that_fails_at_the_backward_pass_has_moved_nothing(
    run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = run("plain", compile=False, batch_size=8)
    call = Criterion.__call__

    def lose_compiler(criterion: Criterion, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        lost.enter_context(config.patch(NO_COMPILER))
        return call(criterion, output, targets)

    monkeypatch.setattr(Criterion, "__call__", lose_compiler)
    with ExitStack() as lost:
        found, (_, note) = run("compiled", batch_size=8)
    assert "InvalidCxxCompiler" in note
    assert are_equal(found, wanted)


@pytest.mark.parametrize(("train", "phases"), [("head", 0), ("head-then-all", 1)])
def test_where_kept_features_are_learned_from_it_is_left_out_and_that_is_said(
    run: Runs, train: str, phases: int
) -> None:
    _, (note, *starts) = run("run", train=train)
    assert note == "note: compile is left out: the epochs learn from kept features, and hardly run the network"
    assert starts == [STARTS] * phases
    assert count_graphs() == phases
