"""The best candidates are fine-tuned and compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recording_progress import RecordingProgress
from zoo.errors import TrainingError
from zoo.training.rank import finetune_best
from zoo.training.rank.record import Ranked
from zoo.training.rank.sentences import describe_winner

Rank = Callable[..., list[Ranked]]


@pytest.fixture
def tune(rank: Rank, photos: Path, files: list[str], tmp_path: Path) -> Rank:
    """Rank two candidates and fine-tune some of them."""
    names = [f"net={file}" for file in files]

    def tune(**options: Any) -> list[Ranked]:
        return rank(photos, names, **{"output": tmp_path / "tuned", "epochs": 1, "batch_size": 8, **options})

    return tune


def test_the_best_are_fine_tuned_with_their_own_weights(tune: Rank) -> None:
    records = tune(finetune=2)
    assert [Path(str(record.run)).is_dir() for record in records] == [True, True]
    assert len({record.run for record in records}) == 2
    for record in records:
        assert record.tuned is not None
        assert record.tuned_low is not None
        assert record.tuned_high is not None
        assert record.tuned_low <= record.tuned <= record.tuned_high
        assert record.tuned_split == "val"


def test_the_others_are_not_fine_tuned(tune: Rank) -> None:
    first, second = tune(finetune=1)
    assert first.run is not None
    assert (second.run, second.tuned) == (None, None)


def test_the_winner_is_named_with_its_interval(tune: Rank) -> None:
    records = tune(finetune=2)
    best = max(records, key=lambda record: record.tuned or 0.0)
    sentence = describe_winner(records)
    assert sentence.startswith(f"{best.name} is best: validation accuracy ")
    assert "95% interval" in sentence


def test_runs_with_the_same_predictions_are_close(tune: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    original = finetune_best.finetune
    monkeypatch.setattr(finetune_best, "finetune", lambda *names, **options: _forget(original(*names, **options)))
    records = tune(finetune=2)
    assert sorted(record.tuned_close for record in records) == [False, True]
    close = next(record.name for record in records if record.tuned_close)
    sentence = f"; the validation images cannot tell {close} from it; an accuracy that is the best of 2 is optimistic"
    assert describe_winner(records).endswith(sentence)


def _forget(run: Any) -> Any:
    """Make all predictions of a run wrong."""
    path = run.path / "predictions.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps({**line, "predicted": "none"}) + "\n" for line in lines), encoding="utf-8")
    return run


def test_finished_runs_are_used_again(tune: Rank) -> None:
    progress = RecordingProgress()
    before = tune(finetune=2)
    assert [one.tuned for one in tune(finetune=2, progress=progress)] == [one.tuned for one in before]
    assert sum("is already finished" in line for line in progress.lines) == 2


def test_a_run_with_other_options_is_kept_and_reported(tune: Rank) -> None:
    tune(finetune=1)
    first, _ = tune(finetune=1, epochs=2)
    assert first.tuned is None
    assert "was started with epochs 1, not 2" in str(first.problem)


def test_a_folder_with_other_files_is_kept_and_reported(tune: Rank) -> None:
    run = Path(str(tune(finetune=1)[0].run))
    shutil.rmtree(run)
    run.mkdir()
    (run / "letter.txt").write_text("mine", encoding="utf-8")
    first, _ = tune(finetune=1)
    assert run.name in str(first.problem)
    assert (run / "letter.txt").read_text(encoding="utf-8") == "mine"


def test_a_damaged_run_is_reported_and_the_ranking_is_kept(tune: Rank) -> None:
    run = Path(str(tune(finetune=1)[0].run))
    (run / "run.json").write_bytes(b"")
    first, second = tune(finetune=1)
    assert "run.json is damaged" in str(first.problem)
    assert (first.rank, second.rank) != (None, None)


def test_a_failed_run_is_a_problem_of_its_record(tune: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise TrainingError("why")

    monkeypatch.setattr(finetune_best, "finetune", fail)
    assert [record.problem for record in tune(finetune=1)] == ["fine-tuning failed: why", None]


def test_the_default_folder_is_named_after_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert finetune_best.choose_folder(None, "here/my photos") == Path("runs/rank-my-photos")
    assert (tmp_path / "runs/rank-my-photos").is_dir()
