"""Comparison of runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from run_facts import make_facts, make_metrics
from zoo.errors import RunError
from zoo.runs.compare import compare_runs, find_close, list_doubts
from zoo.runs.report.numbers import measure_interval


def make_run(folder: Path, name: str, correct: int, images: int = 100, **changes: Any) -> Path:
    run = folder / name
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"x" * 1234)
    measured = make_metrics(correct, images)
    facts = make_facts(name, **{"val": measured, **changes})
    (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return run


def test_the_most_accurate_run_comes_first_with_its_confidence_interval(tmp_path: Path) -> None:
    low, high = make_run(tmp_path, "low", 80), make_run(tmp_path, "high", 97)
    best, other = compare_runs([low, high])
    assert (best.run, other.run) == (str(high), str(low))
    interval = measure_interval(97, 100)
    assert (best.accuracy, best.low, best.high, best.images, best.split) == (0.97, *interval, 100, "val")
    assert (best.params, best.learning, best.bytes, best.seconds, best.epochs) == (2000, 20, 1234, 4.5, 3)


def test_runs_are_compared_on_test_images_if_all_have_them(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one", 90, test=make_metrics(5, 10)), make_run(tmp_path, "two", 80)
    assert {run.split for run in compare_runs([one, two])} == {"val"}
    assert [(run.split, run.accuracy) for run in compare_runs([one])] == [("test", 0.5)]


def test_overlapping_intervals_are_pointed_out(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name, correct) for name, correct in (("best", 97), ("close", 95), ("far", 60))]
    best, close = (str(run) for run in runs[:2])
    assert list_doubts(compare_runs(runs)) == [
        f"the confidence intervals of {best} and {close} overlap, so the difference may be due to chance"
    ]
    assert list_doubts(compare_runs([runs[0], runs[2]])) == []


def write_predictions(run: Path, wrong: range, images: int = 100, prefix: str = "") -> None:
    lines = [
        {
            "split": "val", "path": f"{prefix}{number}.png", "label": "a", "predicted": "b" if number in wrong else "a",
            "probability": 0.9, "label_probability": 0.1,
        }
        for number in range(images)
    ]  # fmt: skip
    (run / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Runs with 95% and 85% accuracy, whose intervals overlap."""
    return [make_run(tmp_path, "best", 95), make_run(tmp_path, "other", 85)]


def test_runs_with_the_same_mistakes_and_more_of_them_are_told_apart(pair: list[Path]) -> None:
    assert len(list_doubts(compare_runs(pair))) == 1
    for run, wrong in zip(pair, (range(5), range(15)), strict=True):
        write_predictions(run, wrong)
    assert list_doubts(compare_runs(pair)) == []


def test_runs_that_differ_by_chance_are_pointed_out(pair: list[Path]) -> None:
    for run, wrong in zip(pair, (range(5), range(4, 11)), strict=True):
        write_predictions(run, wrong)
    assert list_doubts(compare_runs(pair)) == [
        f"{pair[0]} and {pair[1]} classify too few images differently, so the difference may be due to chance"
    ]


def test_predictions_for_different_images_are_not_paired(pair: list[Path]) -> None:
    write_predictions(pair[0], range(5))
    write_predictions(pair[1], range(15), prefix="new-")
    assert find_close(compare_runs(pair)) == {str(pair[1]): False}


def test_runs_on_different_images_are_pointed_out(tmp_path: Path) -> None:
    one = make_run(tmp_path, "one", 99)
    two = make_run(tmp_path, "two", 50, data={**make_facts()["data"], "fingerprint": "cd"})
    assert any("used different images" in doubt for doubt in list_doubts(compare_runs([one, two])))


def test_the_gain_over_the_baseline_is_included_if_it_was_measured(tmp_path: Path) -> None:
    one = make_run(tmp_path, "one", 99, baseline={"gain": 0.34, "accuracy": 0.65, "split": "val"})
    two = make_run(tmp_path, "two", 98)
    assert [run.gain for run in compare_runs([one, two])] == [0.34, None]


def test_a_gain_on_test_images_is_not_shown_beside_validation_accuracy(tmp_path: Path) -> None:
    one = make_run(tmp_path, "one", 99, baseline={"gain": 0.34, "accuracy": 0.65, "split": "test"})
    assert [run.gain for run in compare_runs([one])] == [None]


@pytest.mark.parametrize("content", [None, "no json"])
def test_the_error_for_a_folder_without_a_model_names_it(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"is not a run folder: it has no model\.safetensors"):
        compare_runs([tmp_path])


def spoil(value: Any, *keys: str | int) -> dict[str, Any]:
    """Return the facts of a run with one value replaced."""
    facts = make_facts(test=make_metrics(5, 10), baseline={"gain": 0.1, "accuracy": 0.4, "split": "test"})
    place: Any = facts
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return facts


@pytest.mark.parametrize(
    "facts",
    [
        spoil(7, "test", "accuracy"),
        spoil(0.9, "test", "accuracy"),
        spoil(0.1, "val", "accuracy"),
        spoil(-1, "val", "images"),
        spoil(10**9, "val", "images"),
        spoil(7, "val", "per_class", "blue", "images"),
        spoil(-5, "val", "confusion", 0, 0),
        spoil(-0.1, "best", "val_loss"),
        spoil(7, "best", "epoch"),
        spoil(7, "baseline", "gain"),
        spoil(2001, "params", "learning"),
        spoil(-1.0, "phases", 0, "lr"),
        spoil(-1.0, "seconds"),
    ],
)
def test_a_run_with_impossible_numbers_is_refused(tmp_path: Path, facts: dict[str, Any]) -> None:
    run = make_run(tmp_path, "run", 90)
    (run / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(RunError, match=r"run.json is damaged, or was"):
        compare_runs([run])
