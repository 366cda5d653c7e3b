from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.engine.state import Checkpoint
from zoo.errors import RunError
from zoo.runs.checkpoints import KEPT, Checkpoints


def make(step: int) -> Checkpoint:
    tensors = {"model.fc.weight": torch.full((2, 3), float(step)), "sum": torch.tensor(0.1, dtype=torch.float64)}
    return Checkpoint(tensors, {"epoch": step, "history": [{"loss": 0.1}]})


def expect(found: Checkpoint | None, step: int) -> None:
    expected = make(step)
    assert found is not None
    assert found.facts == expected.facts
    assert found.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in found.tensors.items())
    assert found.tensors["sum"].dtype == torch.float64


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


@pytest.fixture
def saved(checkpoints: Checkpoints, tmp_path: Path) -> Path:
    """A folder with two checkpoints."""
    for step in (1, 2):
        checkpoints.save(step, make(step))
    return tmp_path / "checkpoints"


def test_without_a_checkpoint_there_is_nothing_to_load(checkpoints: Checkpoints) -> None:
    assert checkpoints.load() == (None, [])


def test_the_newest_checkpoint_is_loaded_and_only_a_few_are_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (2, 10, 9_999, 100_000_000):
        checkpoints.save(step, make(step))
        found, complaints = checkpoints.load()
        expect(found, step)
        assert complaints == []
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2 * KEPT


@pytest.mark.parametrize("suffix", [".safetensors", ".sha256"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_reported_and_the_previous_checkpoint_loaded(saved: Path, suffix: str, seed: int) -> None:
    path = saved / f"00000002{suffix}"
    whole = path.read_bytes()
    path.write_bytes(damage(whole, random.Random(seed)))
    found, (complaint,) = Checkpoints(saved).load()
    path.write_bytes(whole)
    expect(found, 1)
    assert complaint.startswith(str(path.with_suffix(".safetensors")))


def damage(data: bytes, rng: random.Random) -> bytes:
    """Flip a bit, cut off the end, write zeros, or append bytes."""
    place = rng.randrange(len(data))
    kind = rng.choice(["flip", "cut", "zeros", "longer"])
    if kind == "cut":
        return data[:place]
    if kind == "longer":
        return data + data[: place + 1]
    changed = bytearray(data)
    if kind == "flip":
        changed[place] ^= 1 << rng.randrange(8)
        return bytes(changed)
    end = rng.randrange(place, len(data)) + 1
    changed[place:end] = bytes(end - place)
    return bytes(changed) if changed != data else data + b"\0"


def test_saving_removes_damaged_checkpoints_of_later_steps(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (10, 20, 15, 18):
        checkpoints.save(step, make(step))
        if step == 20:
            next(tmp_path.rglob("*20.safetensors")).write_bytes(b"damaged")
    assert sorted(path.stem for path in tmp_path.rglob("*.sha256")) == ["00000015", "00000018"]


def test_a_checkpoint_that_is_rewritten_is_ignored_until_it_is_complete(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (10, 20):
        checkpoints.save(step, make(step))
    monkeypatch.setattr("zoo.runs.checkpoints._copy", lambda *_: (_ for _ in ()).throw(RunError("the disk is full")))
    best = tmp_path / "best"
    best.write_bytes(b"")
    with pytest.raises(RunError, match="the disk is full"):
        checkpoints.save(20, make(21), (best, hashlib.sha256(b"").hexdigest()))
    found, complaints = checkpoints.load()
    expect(found, 10)
    assert complaints == []


def test_a_checkpoint_without_a_checksum_is_ignored(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoints.save(step, make(step))
    (tmp_path / "checkpoints" / "00000002.sha256").unlink()
    found, complaints = checkpoints.load()
    expect(found, 1)
    assert complaints == []
    checkpoints.save(3, make(3))  # This removes the incomplete checkpoint.
    assert sorted(path.stem for path in (tmp_path / "checkpoints").iterdir()) == ["00000001"] * 2 + ["00000003"] * 2


def test_a_checksum_without_its_file_is_reported(saved: Path) -> None:
    (saved / "00000002.safetensors").unlink()
    found, (complaint,) = Checkpoints(saved).load()
    expect(found, 1)
    assert complaint.endswith("00000002.safetensors cannot be read: [Errno 2] No such file or directory: "
                              f"{str(saved / '00000002.safetensors')!r}")  # fmt: skip


def test_a_file_with_the_right_checksum_but_no_tensors_is_reported(saved: Path) -> None:
    (saved / "00000002.safetensors").write_bytes(b"no tensors")
    digest = hashlib.sha256(b"no tensors").hexdigest()
    (saved / "00000002.sha256").write_text(f"{digest}  00000002.safetensors\n")
    found, (complaint,) = Checkpoints(saved).load()
    expect(found, 1)
    assert "00000002.safetensors cannot be read" in complaint


def test_if_all_checkpoints_are_damaged_each_is_reported(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoints.save(step, make(step))
    for path in (tmp_path / "checkpoints").glob("*.safetensors"):
        path.write_bytes(b"")
    found, complaints = checkpoints.load()
    assert found is None
    assert len(complaints) == 2


def test_a_failed_save_keeps_the_earlier_checkpoints(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save(1, make(1))
    (tmp_path / "checkpoints" / "00000002.safetensors").mkdir()  # No file can get this name now.
    with pytest.raises(RunError, match=r"00000002.safetensors cannot be written"):
        checkpoints.save(2, make(2))
    (tmp_path / "checkpoints" / "00000002.safetensors").rmdir()
    expect(checkpoints.load()[0], 1)
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_sha256sum_verifies_checkpoints(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.save(3, make(3))
    subprocess.run(["sha256sum", "--check", "00000003.sha256"], cwd=tmp_path / "checkpoints", check=True)


def test_a_best_model_that_is_changed_in_place_does_not_damage_the_checkpoints(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    best, content = tmp_path / "model.safetensors", b"the best model"
    best.write_bytes(content)
    for step in (1, 2):
        checkpoints.save(step, make(step), (best, hashlib.sha256(content).hexdigest()))
    with best.open("r+b") as file:
        file.write(b"X")
    found, complaints = checkpoints.load(best)
    expect(found, 2)
    assert complaints == []
    assert best.read_bytes() == content
    with best.open("r+b") as file:
        file.write(b"X")
    assert (tmp_path / "checkpoints" / "00000001.best").read_bytes() == content
    assert checkpoints.load()[1] == []
