"""A run that is interrupted and resumed has the same result as an uninterrupted one, bit for bit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from torch import Tensor

from acme import make_acme
from interrupted_runs import Interrupts, describe
from quick_runs import FILES, LEARNS, read_facts
from recording_progress import RecordingProgress
from zoo.engine.phase import Phase
from zoo.errors import DataError, OptionError, RunError
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.checkpoints import Checkpoints
from zoo.training.callbacks import RunCallbacks
from zoo.training.checkpointing import INTERVAL
from zoo.training.finetune import finetune

#: Three phases with an epoch of 4 steps each, dropout, batch norm and augmented images.
OPTIONS: dict[str, Any] = {**LEARNS, "train": "gradual", "epochs": 3, "augment": "crop-flip"}
PLUGIN = Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))


def run_until_finished(photos: Path, output: Path, registry: Registry, **options: Any) -> int:
    """Resume a run until it is finished, and return the number of interruptions."""
    for interruptions in range(100):
        try:
            finetune("net", photos, output=output, resume=True, registry=registry, **options)
        except KeyboardInterrupt:
            continue
        return interruptions
    raise AssertionError("the run never finishes")


@pytest.fixture(scope="module")
def expected(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    output = tmp_path_factory.mktemp("whole") / "run"
    finetune("net", drawn_photos, output=output, registry=Registry([PLUGIN], RegistryToml()), **OPTIONS)
    return describe(output)


#: Steps at the start, in the middle and at the end of a phase and of the run. The others are slow tests.
STEPS = (1, 4, 5, 7, 12)


@pytest.mark.parametrize(
    "step", [step if step in STEPS else pytest.param(step, marks=pytest.mark.breadth) for step in range(1, 13)]
)
def test_a_run_resumes_after_any_step(
    photos: Path,
    registry: Registry,
    output: Path,
    *,
    expected: Mapping[str, Any],
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Interrupts(monkeypatch, step)
    assert run_until_finished(photos, output, registry, **OPTIONS) == 1
    assert describe(output) == expected
    assert sorted(path.name for path in output.iterdir()) == FILES


def test_a_run_resumes_many_times(
    photos: Path, registry: Registry, output: Path, expected: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Interrupts(monkeypatch, 1, 2, 3, 4, 6, 7, 9, 12)
    assert run_until_finished(photos, output, registry, **OPTIONS) == 8
    assert describe(output) == expected
    assert read_facts(output)["resumed"] == [1, 1, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("train", "cache"),
    [
        ("head", True),
        ("from:layer2", False),
        ("head-then-all", True),
        *(
            pytest.param(train, cache, marks=pytest.mark.breadth)
            for train, cache in (
                ("head", False), ("all", False), ("all", True), ("from:layer2", True), ("head-then-all", False),
            )
        ),
    ],
)  # fmt: skip
def test_a_run_resumes_for_any_trained_part(
    photos: Path, registry: Registry, tmp_path: Path, *, train: str, cache: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**LEARNS, "train": train, "cache": cache, "epochs": 3}
    finetune("net", photos, output=tmp_path / "whole", registry=registry, **options)
    Interrupts(monkeypatch, 2, 5, 11)
    assert run_until_finished(photos, tmp_path / "torn", registry, **options) == 3
    assert describe(tmp_path / "torn") == describe(tmp_path / "whole")


def test_the_number_of_workers_may_change(
    photos: Path, registry: Registry, output: Path, expected: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    Interrupts(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        finetune("net", photos, output=output, registry=registry, **OPTIONS)
    finetune("net", photos, output=output, resume=True, registry=registry, **{**OPTIONS, "workers": 2})
    assert describe(output) == expected


def interrupt(photos: Path, output: Path, registry: Registry, step: int, **options: Any) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        Interrupts(monkeypatch, step)
        with pytest.raises(KeyboardInterrupt):
            finetune("net", photos, output=output, registry=registry, **options)


@pytest.fixture(scope="module")
def interrupted(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was interrupted in its second phase. Tests only read it, and resume copies of it."""
    output = tmp_path_factory.mktemp("interrupted") / "run"
    interrupt(drawn_photos, output, Registry([PLUGIN], RegistryToml()), 6, **OPTIONS)
    return output


def read_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("lr", 0.01), ("batch_size", 8), ("optimizer", "sgd"), ("schedule", "cosine"), ("seed", 1),
        ("betas", "0.8,0.9"), ("eps", 0.1), ("epochs", 4),
        ("augment", "none"), ("train", "head-then-all"), ("head", "mlp:6"), ("weight_decay", 0.5),
        ("label_smoothing", 0.1), ("precision", "bf16"), ("patience", 2),
    ],
)  # fmt: skip
def test_different_options_are_refused_and_no_file_changes(
    drawn_photos: Path, registry: Registry, interrupted: Path, *, field: str, value: object
) -> None:
    before, options = read_files(interrupted), {**OPTIONS, field: value}
    with pytest.raises(
        OptionError, match=rf"was started with {field} .*, not {value}; resume it with the same value, or"
    ):
        finetune("net", drawn_photos, output=interrupted, resume=True, registry=registry, **options)
    assert read_files(interrupted) == before


def test_a_run_resumes_after_different_options_were_refused(
    drawn_photos: Path, registry: Registry, interrupted: Path, output: Path, expected: Mapping[str, Any]
) -> None:
    shutil.copytree(interrupted, output)
    with pytest.raises(OptionError, match="was started with seed 0, not 1"):
        finetune("net", drawn_photos, output=output, resume=True, registry=registry, **{**OPTIONS, "seed": 1})
    finetune("net", drawn_photos, output=output, resume=True, registry=registry, **OPTIONS)
    assert describe(output) == expected


def test_different_images_are_refused(photos: Path, registry: Registry, output: Path) -> None:
    interrupt(photos, output, registry, 6, **OPTIONS)
    (photos / "train" / "red" / "0.png").unlink()
    with pytest.raises(OptionError, match=r"started with data fingerprint \w+\.\.\., not"):
        finetune("net", photos, output=output, resume=True, registry=registry, **OPTIONS)


def test_a_finished_run_is_left_unchanged(photos: Path, registry: Registry, output: Path) -> None:
    first, progress = finetune("net", photos, output=output, registry=registry, **OPTIONS), RecordingProgress()
    before = {path: path.stat().st_mtime_ns for path in output.iterdir()}
    again = finetune("net", photos, output=output, resume=True, registry=registry, progress=progress, **OPTIONS)
    assert (again.path, again.facts) == (first.path, first.facts)
    assert {path: path.stat().st_mtime_ns for path in output.iterdir()} == before
    assert any("is already finished" in line for line in progress.lines)
    with pytest.raises(OptionError, match="started with seed 0, not 3"):
        finetune("net", photos, output=output, resume=True, registry=registry, **{**OPTIONS, "seed": 3})


def test_without_an_earlier_run_one_starts(
    photos: Path, registry: Registry, output: Path, expected: Mapping[str, Any]
) -> None:
    finetune("net", photos, output=output, resume=True, registry=registry, **OPTIONS)
    assert describe(output) == expected


def test_resume_needs_output(photos: Path, registry: Registry) -> None:
    with pytest.raises(OptionError, match="`resume` needs `output`"):
        finetune("net", photos, resume=True, registry=registry, **OPTIONS)


def test_a_folder_of_other_files_is_refused_and_left_unchanged(photos: Path, registry: Registry, output: Path) -> None:
    output.mkdir()
    (output / "thesis.txt").write_text("all of it")
    with pytest.raises(RunError, match=r"contains 'thesis\.txt', which is not part of a run"):
        finetune("net", photos, output=output, resume=True, registry=registry, **OPTIONS)
    assert [path.name for path in output.iterdir()] == ["thesis.txt"]


def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(
    photos: Path, registry: Registry, output: Path, expected: Mapping[str, Any]
) -> None:
    interrupt(photos, output, registry, 7, **{**OPTIONS, "save_every": 3})
    newest = max((output / "checkpoints").glob("*.safetensors"))
    content = bytearray(newest.read_bytes())
    content[-3] ^= 1
    newest.write_bytes(content)
    progress = RecordingProgress()
    finetune("net", photos, output=output, resume=True, registry=registry, progress=progress, **OPTIONS)
    warning = f"warning: {newest} cannot be read: its checksum does not match; using the previous checkpoint"
    assert warning in progress.lines
    assert describe(output) == expected


def test_the_best_model_is_restored_from_the_checkpoint(
    photos: Path, registry: Registry, output: Path, expected: Mapping[str, Any]
) -> None:
    interrupt(photos, output, registry, 6, **OPTIONS)
    (output / "model.safetensors").unlink()  # it shares its memory with the copy in the checkpoint
    (output / "model.safetensors").write_bytes(b"of an epoch that was lost")
    finetune("net", photos, output=output, resume=True, registry=registry, **OPTIONS)
    assert describe(output) == expected


def test_a_missing_best_model_is_an_error(photos: Path, registry: Registry, output: Path) -> None:
    interrupt(photos, output, registry, 6, **OPTIONS)
    (output / "model.safetensors").unlink()
    for path in (output / "checkpoints").glob("*.best"):
        path.unlink()
    with pytest.raises(RunError, match="no checkpoint in"):
        finetune("net", photos, output=output, resume=True, registry=registry, **OPTIONS)


def test_a_damaged_best_model_is_reported_and_the_previous_checkpoint_used(
    photos: Path, registry: Registry, output: Path, expected: Mapping[str, Any]
) -> None:
    interrupt(photos, output, registry, 7, **{**OPTIONS, "save_every": 3})
    newest = max((output / "checkpoints").glob("*.best"))
    content = newest.read_bytes()
    newest.unlink()  # the best model of the checkpoint before may be the same file
    newest.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    progress = RecordingProgress()
    finetune("net", photos, output=output, resume=True, registry=registry, progress=progress, **OPTIONS)
    assert any(
        f"the best model, {newest.name}, does not match; using the previous checkpoint" in line
        for line in progress.lines
    )
    assert describe(output) == expected


def test_different_weights_in_the_same_file_are_refused(
    photos: Path, registry: Registry, output: Path, *, source: dict[str, Tensor], tmp_path: Path
) -> None:
    options = {**OPTIONS, "train": "head-then-all", "weights": str(tmp_path / "start.safetensors")}
    save_file(source, tmp_path / "start.safetensors")
    interrupt(photos, output, registry, 2, **options)
    save_file({**source, "stem.0.bias": source["stem.0.bias"] + 1}, tmp_path / "start.safetensors")
    with pytest.raises(OptionError, match="started with weights fingerprint"):
        finetune("net", photos, output=output, resume=True, registry=registry, **options)


def test_an_unchanged_checkpoint_is_not_rewritten(photos: Path, registry: Registry, output: Path) -> None:
    interrupt(photos, output, registry, 6, **OPTIONS)
    before = {path.name: path.read_bytes() for path in (output / "checkpoints").iterdir()}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Phase, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            finetune("net", photos, output=output, resume=True, registry=registry, **OPTIONS)
    assert {path.name: path.read_bytes() for path in (output / "checkpoints").iterdir()} == before


def test_no_step_is_lost_if_an_image_disappears(photos: Path, registry: Registry, output: Path) -> None:
    options, moved = {**LEARNS, "epochs": 2}, photos / "away.png"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("ZOO_MAX_PIXEL_CACHE", "0")  # No image is kept in memory.
        victim = photos / "train" / "red" / "3.png"
        on_step = RunCallbacks.on_step

        def remove(callbacks: RunCallbacks) -> None:
            on_step(callbacks)
            if victim.exists():
                victim.rename(moved)

        monkeypatch.setattr(RunCallbacks, "on_step", remove)
        with pytest.raises(DataError, match=r"3\.png"):
            finetune("net", photos, output=output, registry=registry, **options)
        moved.rename(victim)
        monkeypatch.setattr(RunCallbacks, "on_step", on_step)
        progress = RecordingProgress()
        finetune("net", photos, output=output, resume=True, registry=registry, progress=progress, **options)
    assert any(line.startswith("resuming in epoch 1") for line in progress.lines)


@pytest.mark.parametrize("every", [1, 5])
def test_save_every_is_the_number_of_steps_between_checkpoints(
    photos: Path, registry: Registry, output: Path, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(
        Checkpoints, "save", lambda _self, _step, state, _best: saved.append(state.facts["state"]["done"])
    )
    finetune("net", photos, output=output, registry=registry, **{**OPTIONS, "save_every": every})
    assert len(saved) == 12 // every


def test_a_short_run_saves_no_checkpoint(
    photos: Path, registry: Registry, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoints, "save", lambda *_: pytest.fail("a checkpoint was saved"))
    finetune("net", photos, output=output, registry=registry, **OPTIONS)
    assert read_facts(output)["seconds"] < INTERVAL


def test_a_run_on_features_cannot_be_resumed_on_images(
    photos: Path, registry: Registry, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**LEARNS, "train": "head"}
    interrupt(photos, output, registry, 2, **options)
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "10")
    with pytest.raises(
        RunError, match="was trained on features, but would now be trained on images; resume it with the same amount"
    ):
        finetune("net", photos, output=output, resume=True, registry=registry, **options)


#: Options whose state a run keeps. Every pair of values is in one of these sets; the others are slow tests.
KEPT = (
    ("adamw", "plateau", 0.9, 0.4), ("adamw", "cosine", 0.0, 0.0), ("adam", "plateau", 0.0, 0.4),
    ("adam", "cosine", 0.9, 0.0), ("sgd", "plateau", 0.9, 0.0), ("sgd", "cosine", 0.0, 0.4),
)  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "schedule", "ema", "mixup"),
    [
        values if values in KEPT else pytest.param(*values, marks=pytest.mark.breadth)
        for values in product(("adamw", "adam", "sgd"), ("plateau", "cosine"), (0.0, 0.9), (0.0, 0.4))
    ],
)
def test_a_run_resumes_with_any_optimizer_schedule_ema_and_mixup(
    photos: Path,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    optimizer: str,
    schedule: str,
    ema: float,
    mixup: float,
) -> None:
    chosen = {"optimizer": optimizer, "schedule": schedule, "ema": ema, "mixup": mixup, "cutmix": mixup}
    options = {**LEARNS, "lr": 0.005, "warmup": 0.5, "clip_norm": 0.5, **chosen}
    finetune("net", photos, output=tmp_path / "whole", registry=registry, **options)
    Interrupts(monkeypatch, 3, 9)
    assert run_until_finished(photos, tmp_path / "torn", registry, **options) == 2
    assert describe(tmp_path / "torn") == describe(tmp_path / "whole")
