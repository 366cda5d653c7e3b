"""Compiled runs have the same results up to rounding, and exactly the same if compilation fails."""

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
from recording_progress import RecordingProgress
from small import make_registry
from zoo.engine.criterion import Criterion
from zoo.errors import OptionError
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune

pytestmark = pytest.mark.breadth

ROOT = Path(__file__).parents[4]
#: Batches of 10, 10 and 4 images. The optimizer is SGD, because Adam amplifies rounding errors of tiny gradients.
OPTIONS: dict[str, Any] = {**LEARNS, "epochs": 2, "batch_size": 10, "optimizer": "sgd", "compile": True}
#: Script of a run in a new process.
FIRST = f"""
import sys, torch
from small import make_registry
from zoo.training.finetune import finetune

torch.set_num_threads(1)
finetune("small", sys.argv[1], output=sys.argv[2], registry=make_registry(), **{OPTIONS})
"""
NO_COMPILER = {"cpp.cxx": (None, "/nowhere/g++")}
STARTS = "compiling the model: the first step takes longer"


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run in a new process: its cache, temporary files, home, working directory and stderr."""
    folder = tmp_path_factory.mktemp("first")
    draw_photos(folder / "photos" / "train", per_class=12, seed=1)
    draw_photos(folder / "photos" / "val", per_class=5, seed=2)
    for name in ("cache", "temporary", "home", "work"):
        (folder / name).mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHINDUCTOR_", "XDG_"))}
    environment |= {"ZOO_CACHE": f"{folder}/cache", "TMPDIR": f"{folder}/temporary", "HOME": f"{folder}/home"}
    environment |= {"TORCHINDUCTOR_COMPILE_THREADS": "1"}  # otherwise 16 processes start, each of which imports torch
    environment |= {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests" / "props")))}
    command = [sys.executable, "-c", FIRST, str(folder / "photos"), str(folder / "run")]
    with (folder / "stderr").open("w") as stderr:
        subprocess.run(command, check=True, cwd=folder / "work", env=environment, stderr=stderr, timeout=280)
    return folder


@pytest.fixture(autouse=True)
def compiled(first: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The compile cache of the first run, which all tests use."""
    (folder,) = (first / "cache" / "compiled").iterdir()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    counters.clear()
    return folder


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Callable[..., tuple[dict[str, Tensor], list[str]]]:
    """Return a function that trains with some options and returns the weights and the messages about compilation."""

    def run(name: str, **options: Any) -> tuple[dict[str, Tensor], list[str]]:
        progress, output = RecordingProgress(), tmp_path / name
        finetune("small", photos, output=output, registry=make_registry(), progress=progress, **{**OPTIONS, **options})
        messages = [
            line for line in progress.lines if line.startswith(("compil", "note: compil", "note: ignoring `compile`"))
        ]
        return load_file(output / "model.safetensors"), messages

    return run


Runs = Callable[..., tuple[dict[str, Tensor], list[str]]]


def are_equal(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def count_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


def test_compiled_code_is_stored_in_the_cache_folder_only(first: Path, compiled: Path) -> None:
    assert compiled.name.startswith("torch-")
    assert list(compiled.rglob("*.so"))
    # Importing torchvision creates an empty folder there.
    assert [path for path in (first / "temporary").rglob("*") if path.is_file()] == []
    assert [*(first / "home").iterdir(), *(first / "work").iterdir()] == []


def test_torch_prints_nothing(first: Path) -> None:
    assert (first / "stderr").read_text(encoding="utf-8") == ""


def test_results_agree_up_to_rounding_and_parameter_names_are_unchanged(run: Runs) -> None:
    (found, messages), (expected, silence) = run("compiled"), run("plain", compile=False)
    assert (messages, silence) == ([STARTS], [])
    assert found.keys() == expected.keys()
    # The same values are dropped, too.
    assert all(torch.allclose(found[name].float(), expected[name].float(), rtol=0, atol=1e-5) for name in expected)


def test_one_graph_is_compiled_for_all_epochs_and_none_for_evaluation(run: Runs) -> None:
    run("compiled")
    assert count_graphs() == 1


@pytest.mark.parametrize("step", [2, *(pytest.param(step, marks=pytest.mark.breadth) for step in (1, 3, 5))])
def test_a_compiled_run_resumes_after_any_step(run: Runs, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = run("whole", optimizer="adamw")
    steps, on_step = [], RunCallbacks.on_step

    def interrupt(callbacks: RunCallbacks) -> None:
        on_step(callbacks)
        steps.append(1)
        if len(steps) == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunCallbacks, "on_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run("torn", optimizer="adamw")
    found, _ = run("torn", optimizer="adamw", resume=True)
    assert len(steps) == 6
    assert are_equal(found, expected)


def test_a_run_cannot_be_resumed_with_another_compile_option(run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunCallbacks, "on_step", lambda _callbacks: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run("torn")
    with pytest.raises(OptionError, match="started with compile True, not False; resume it with the same"):
        run("torn", resume=True, compile=False)


def test_without_a_compiler_the_network_is_not_compiled(run: Runs) -> None:
    # The cache has nothing for this batch size.
    expected, _ = run("plain", compile=False, batch_size=9)
    with config.patch(NO_COMPILER):
        found, (starts, note) = run("compiled", batch_size=9)
    assert starts == STARTS
    assert note.startswith(
        "note: compilation failed, so the model runs uncompiled: InductorError: InvalidCxxCompiler: "
    )
    assert are_equal(found, expected)


@pytest.mark.breadth
def test_a_compiler_that_fails_in_the_backward_pass_changes_no_result(
    run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = run("plain", compile=False, batch_size=8)
    call = Criterion.__call__

    def lose_compiler(criterion: Criterion, output: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        lost.enter_context(config.patch(NO_COMPILER))
        return call(criterion, output, targets)

    monkeypatch.setattr(Criterion, "__call__", lose_compiler)
    with ExitStack() as lost:
        found, (_, note) = run("compiled", batch_size=8)
    assert "InvalidCxxCompiler" in note
    assert are_equal(found, expected)


@pytest.mark.parametrize(("train", "phases"), [("head", 0), ("head-then-all", 1)])
def test_training_on_cached_features_is_not_compiled(run: Runs, train: str, phases: int) -> None:
    _, (note, *starts) = run("run", train=train)
    assert note == "note: ignoring `compile`: training uses cached features and hardly runs the model"
    assert starts == [STARTS] * phases
    assert count_graphs() == phases
