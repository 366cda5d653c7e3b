"""Model files, run.json and checkpoints that were changed at random: zoo refuses them with an error of its own."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from acme import INPUT
from mutations import mutate
from run_facts import make_facts
from zoo.errors import RunError
from zoo.files.schema import CheckpointFacts
from zoo.files.validation import Invalid, check
from zoo.models.weights.header import Header
from zoo.runs.compare import compare_runs
from zoo.runs.model_file import load_header
from zoo.runs.report.context import make_context

HEADER = Header("acme/net", None, "linear", ("blue", "red"), INPUT, "none", "none")
EPOCH = {
    "epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5, "lr": 0.1,
    "train_seconds": 1.0, "seconds": 1.0, "phase": 1,
}  # fmt: skip
STATE = {
    "feed": "images", "phase": 0, "done": 3, "history": [EPOCH], "steps": 3, "parts": 1, "scaler": {},
    "lap": {"step": 1, "count": 8, "lr": 0.1, "seconds": 1.0},
}  # fmt: skip
CHECKPOINT = {"format": 1, "run": make_facts(), "state": STATE}


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_header_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    marks = ("format", "zoo_format")
    fields = {name: json.loads(value) for name, value in HEADER.to_metadata().items() if name not in marks}
    changed = {name: json.dumps(value) for name, value in mutate(fields, seed).items()}
    save_file({"weight": torch.ones(1)}, tmp_path / "model.safetensors", metadata={"zoo_format": "1", **changed})
    with suppress(RunError):
        header = load_header(tmp_path / "model.safetensors")
        assert all(isinstance(name, str) for name in header.classes)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_run_json_is_compared_or_refused(tmp_path: Path, seed: int) -> None:
    facts = mutate(make_facts(test=make_facts()["val"], baseline={"gain": 0.1, "accuracy": 0.5, "split": "val"}), seed)
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    with suppress(RunError):
        (compared,) = compare_runs([tmp_path])
        assert 0 <= compared.low <= compared.high <= 1


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_the_changed_facts_of_a_checkpoint_are_accepted_only_with_their_types(seed: int) -> None:
    changed = mutate(CHECKPOINT, seed)
    try:
        facts = check(changed, CheckpointFacts)
    except Invalid:
        return
    assert all(isinstance(epoch["epoch"], int) for epoch in facts["state"]["history"])
    assert facts["state"]["parts"] >= 1
    assert {"train", "epochs", "lr", "frozen"} <= facts["run"]["phases"][0].keys()


def test_the_unchanged_files_are_accepted() -> None:
    assert check(CHECKPOINT, CheckpointFacts) == CHECKPOINT
    assert make_context(make_facts(), [EPOCH])["title"] == "net on photos"


@pytest.mark.parametrize(
    "text", ["[" * 10_000 + "]" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000, "1" * 10_000, "NaN"]
)
def test_json_that_breaks_parsers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        compare_runs([tmp_path])
