"""Cross-validation: a run for each fold, and a summary of all of them."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from acme import draw_photos, make_acme
from interrupted_runs import Interrupts
from quick_runs import FILES, LEARNS, QUICK, read_facts
from recording_progress import RecordingProgress
from worlds import get_results, in_world
from zoo.engine.features.extractor import Extractor
from zoo.errors import DataError, OptionError, RunError
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.classifier import load
from zoo.runs.compare import compare_runs, list_doubts
from zoo.runs.folder import RunFolder
from zoo.runs.predictions import read_predictions
from zoo.runs.report.numbers import measure_interval
from zoo.training.callbacks import RunCallbacks
from zoo.training.finetune import finetune
from zoo.training.run import Run

HEAD: dict[str, Any] = {**LEARNS, "train": "head", "lr": 0.5}
#: 4 steps in each epoch.
AUGMENTED: dict[str, Any] = {**LEARNS, "augment": "crop-flip", "epochs": 3}
Validate = Callable[..., Run]


@pytest.fixture
def validate(registry: Registry, photos: Path, output: Path) -> Validate:
    """Return a function that cross-validates the tiny network on 34 photos."""

    def validate(output: Path = output, data: Path = photos, **options: Any) -> Run:
        return finetune("net", data, output=output, registry=registry, **{"folds": 3, **LEARNS, **options})

    return validate


@pytest.fixture(scope="module")
def learned(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A cross-validation that learned to classify the photos. Tests only read it."""
    output = tmp_path_factory.mktemp("learned") / "run"
    return finetune("net", drawn_photos, output=output, registry=make_registry(), folds=3, **LEARNS)


@pytest.fixture(scope="module")
def quick(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cross-validation with one epoch. Tests only read it."""
    output = tmp_path_factory.mktemp("quick") / "run"
    return finetune("net", drawn_photos, output=output, registry=make_registry(), folds=3, **QUICK).path


def make_registry() -> Registry:
    return Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))], RegistryToml())


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def describe(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that contains no times."""
    names = ["folds.json", *(f"fold-{number}/model.safetensors" for number in (1, 2, 3)), "predictions.csv"]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_each_image_is_predicted_once_by_a_run_that_was_not_trained_on_it(learned: Run, drawn_photos: Path) -> None:
    rows = read_rows(learned.path)
    assert sorted(row["path"] for row in rows) == sorted(str(path) for path in drawn_photos.rglob("*.png"))
    assert Counter(row["fold"] for row in rows) == {"1": 12, "2": 11, "3": 11}
    assert [(fold["train"], fold["val"]) for fold in learned.facts["folds"]] == [(22, 12), (23, 11), (23, 11)]


def test_the_folds_are_complete_runs(learned: Run) -> None:
    assert sorted(path.name for path in learned.path.iterdir()) == [
        "fold-1", "fold-2", "fold-3", "folds.json", "predictions.csv"
    ]  # fmt: skip
    for number in (1, 2, 3):
        folder = learned.path / f"fold-{number}"
        assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "predictions.csv"])
        assert read_facts(folder)["recipe"]["fold"] == f"{number}/3"


def test_the_summary_follows_from_the_runs_and_the_predictions(learned: Run) -> None:
    output = learned.path
    facts, rows = json.loads((output / "folds.json").read_text(encoding="utf-8")), read_rows(output)
    assert facts == learned.facts
    accuracies = [read_facts(output / fold["path"])["val"]["accuracy"] for fold in facts["folds"]]
    assert [fold["accuracy"] for fold in facts["folds"]] == accuracies
    assert (facts["mean"], facts["std"]) == (fmean(accuracies), stdev(accuracies))
    correct = sum(row["label"] == row["predicted"] for row in rows)
    pooled = facts["out_of_fold"]
    assert (pooled["accuracy"], pooled["images"]) == (correct / 34, 34)
    assert (pooled["low"], pooled["high"]) == measure_interval(correct, 34)
    found = Counter((row["label"], row["predicted"]) for row in rows)
    assert pooled["confusion"] == [[found[label, name] for name in ("blue", "red")] for label in ("blue", "red")]
    assert pooled["per_class"]["red"]["recall"] == found["red", "red"] / 17
    assert [epoch["epoch"] for epoch in facts["epochs"]] == [1, 2, 3, 4]
    assert facts["epochs"][-1]["mean"] == pytest.approx(facts["mean"])


def test_the_last_epoch_counts_even_if_an_earlier_one_was_as_good(validate: Validate, output: Path) -> None:
    options = {**HEAD, "lr": 0.0}  # All epochs have the same accuracy and loss.
    assert validate(output.parent / "single", **options, folds=None).facts["best"]["epoch"] == 1
    validate(**options)
    assert [read_facts(output / f"fold-{number}")["best"]["epoch"] for number in (1, 2, 3)] == [4, 4, 4]


def test_the_model_of_a_fold_makes_its_predictions(validate: Validate, registry: Registry, output: Path) -> None:
    validate(lr=1.0, precision="fp32")  # With this learning rate, the accuracy goes up and down from epoch to epoch.
    for number in (1, 2, 3):
        classifier = load(output / f"fold-{number}", device="cpu", registry=registry)
        rows = [row for row in read_rows(output) if row["fold"] == str(number)]
        for row, prediction in zip(rows, classifier.predict([row["path"] for row in rows]), strict=True):
            (label, probability), *_ = prediction.top
            assert row["predicted"] == label
            assert float(row["probability"]) == pytest.approx(probability, abs=1e-2)
            assert row[f"probability of {label}"] == row["probability"]


@pytest.fixture(scope="module")
def augmented(drawn_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The files of an uninterrupted cross-validation with augmented images."""
    output = tmp_path_factory.mktemp("augmented") / "run"
    finetune("net", drawn_photos, output=output, registry=make_registry(), folds=3, **AUGMENTED)
    return describe(output)


@pytest.mark.parametrize(
    "step",
    [15, *(pytest.param(step, marks=pytest.mark.breadth) for step in (1, 9, 30, 36))],
)
def test_an_interrupted_cross_validation_resumes_to_the_same_bytes(
    validate: Validate,
    drawn_photos: Path,
    output: Path,
    *,
    augmented: dict[str, str],
    step: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Interrupts(monkeypatch, step)
    with pytest.raises(KeyboardInterrupt):
        validate(data=drawn_photos, **AUGMENTED)
    validate(data=drawn_photos, resume=True, **AUGMENTED)
    assert describe(output) == augmented


@pytest.mark.breadth
def test_a_killed_cross_validation_resumes_to_the_same_bytes(
    validate: Validate, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"epochs": 3, "save_every": 2}
    validate(tmp_path / "whole", **options)
    steps, on_step = [0], RunCallbacks.on_step

    def kill(watch: RunCallbacks) -> None:
        on_step(watch)
        steps[0] += 1
        if steps[0] == 31:  # in the last epoch of the third fold
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patches:
        patches.setattr(RunCallbacks, "on_step", kill)
        (ended,) = in_world(1, lambda _rank: validate(**options))
    assert ended.code == -signal.SIGKILL
    validate(resume=True, **options)
    assert describe(output) == describe(tmp_path / "whole")


def test_a_finished_cross_validation_is_not_trained_again(validate: Validate, drawn_photos: Path, learned: Run) -> None:
    output = learned.path
    before, models = describe(output), [path.stat().st_mtime_ns for path in output.glob("*/model.safetensors")]
    validate(output, drawn_photos, resume=True)
    assert describe(output) == before
    assert [path.stat().st_mtime_ns for path in output.glob("*/model.safetensors")] == models


def test_it_resumes_only_with_the_same_number_of_folds(validate: Validate, drawn_photos: Path, quick: Path) -> None:
    with pytest.raises(OptionError, match=r"was started with fold 1/3, not 1/4"):
        validate(quick, drawn_photos, **QUICK, folds=4, resume=True)


def test_a_single_run_and_a_cross_validation_do_not_resume_each_other(
    validate: Validate, drawn_photos: Path, quick: Path, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match=r"is a cross-validation of 3 folds; to resume it, pass `folds` as before"):
        validate(quick, drawn_photos, **QUICK, folds=None, resume=True)
    validate(tmp_path / "single", **QUICK, folds=None)
    with pytest.raises(RunError, match=r"contains a run without folds; resume it without `folds`"):
        validate(tmp_path / "single", **QUICK, resume=True)


def test_features_are_computed_once_for_all_folds(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    compute = Extractor.compute_together

    def note(extractor: Extractor, samples: Any, *others: Any) -> Any:
        counts.append(len(samples))
        return compute(extractor, samples, *others)

    monkeypatch.setattr(Extractor, "compute_together", note)
    validate(**HEAD)
    assert counts == [34]


def test_each_fold_computes_its_own_augmented_views(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[tuple[int, bool]] = []
    compute = Extractor.compute_together

    def note(extractor: Extractor, samples: Any, view: int | None, advance: Any) -> Any:
        counts.append((len(samples), view is not None))
        return compute(extractor, samples, view, advance)

    monkeypatch.setattr(Extractor, "compute_together", note)
    validate(**{**HEAD, "epochs": 1}, views=1)
    assert counts == [(22, True), (12, False), (23, True), (11, False), (23, True), (11, False)]


@pytest.mark.parametrize(
    ("options", "cost"),
    [
        ({"train": "head"}, "3 folds of 1 epoch each; the features of the frozen part are computed once for all folds"),
        ({"train": "all"}, "3 folds: each trains 1 epoch, so they take about 3 times as long as one run"),
        ({"train": "head", "augment": "crop-flip"}, "3 folds: each trains 1 epoch, so they take about 3 times as long"),
    ],
)
def test_the_cost_is_reported_before_the_first_fold(validate: Validate, *, options: dict[str, Any], cost: str) -> None:
    progress = RecordingProgress()
    validate(**{**QUICK, **options}, progress=progress)
    (line,) = (line for line in progress.lines if line.startswith(cost))
    assert progress.lines.index(line) < progress.lines.index("fold 1 of 3")


def test_lines_about_the_data_are_not_repeated(validate: Validate, photos: Path) -> None:
    (photos / "train" / "blue" / "notes.txt").write_text("no image", encoding="utf-8")
    progress = RecordingProgress()
    validate(**QUICK, progress=progress)
    assert len([line for line in progress.lines if line.startswith("skipped 1 file")]) == 1
    assert len([line for line in progress.lines if line.startswith("net -> ")]) == 1


def test_near_copies_are_in_one_fold(validate: Validate, photos: Path, output: Path) -> None:
    pairs = [(path, path.with_name(f"copy-{path.stem}.png")) for path in sorted((photos / "train").rglob("*.png"))]
    for path, copy in pairs:
        Image.open(path).resize((48, 40), Image.Resampling.BICUBIC).save(copy)
    validate(**QUICK)
    folds = {row["path"]: row["fold"] for row in read_rows(output)}
    assert all(folds[str(path)] == folds[str(copy)] for path, copy in pairs)


def test_test_images_are_not_used(validate: Validate, photos: Path, output: Path) -> None:
    draw_photos(photos / "test", per_class=2, seed=9)
    progress = RecordingProgress()
    validate(**QUICK, progress=progress)
    assert "note: not using 4 test images for folds; evaluate the final model on them" in progress.lines
    assert not any("/test/" in row["path"] for row in read_rows(output))
    facts = read_facts(output / "fold-1")
    assert (facts["data"]["images"]["test"], "test" in facts) == (0, False)


def test_three_fractions_set_the_same_test_images_apart_as_in_a_single_run(
    validate: Validate, photos: Path, output: Path, tmp_path: Path
) -> None:
    validate(tmp_path / "single", photos / "train", **QUICK, folds=None, split="0.6,0.2,0.2")
    validate(output, photos / "train", **QUICK, split="0.6,0.2,0.2")
    every = {str(path) for path in (photos / "train").rglob("*.png")}
    tested = {str(one.path) for one in read_predictions(RunFolder(tmp_path / "single")) if one.split == "test"}
    assert tested
    assert {row["path"] for row in read_rows(output)} == every - tested


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "`folds` must be at least 2, got 1"),
        ({"folds": 1001}, "`folds` must be at most 1,000, got 1001"),
        ({"folds": 2.0}, "`folds` must be a whole number, got 2.0"),
        ({"fold": "1/3"}, "`fold` trains a single fold"),
        ({"baseline": "scratch"}, "`baseline` compares a single run"),
        ({"patience": 3}, "`patience` and the plateau schedule depend on the validation accuracy"),
        ({"schedule": "plateau"}, "`patience` and the plateau schedule depend on the validation accuracy"),
        ({"split": "0.8,0.2"}, "`split` 0.8,0.2 chooses the validation images, but so do the folds"),
        ({"resume": True, "output": None}, "`resume` needs `output`"),
    ],
)
def test_options_that_conflict_with_folds_are_refused_before_anything_is_written(
    validate: Validate, output: Path, *, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        validate(**QUICK, **options)
    assert not output.exists()


def test_more_folds_than_images_of_a_class_are_refused_and_leave_no_folder(validate: Validate, output: Path) -> None:
    with pytest.raises(DataError, match=r"18 folds need at least 18 images of each class, but 'blue' has 17"):
        validate(**QUICK, folds=18)
    assert not output.exists()


def test_a_folder_that_contains_a_cross_validation_is_not_used_again(
    validate: Validate, drawn_photos: Path, quick: Path
) -> None:
    with pytest.raises(RunError, match=r"contains another run; choose another `output`, or remove it first"):
        validate(quick, drawn_photos, **QUICK)


def test_a_folder_of_folds_is_no_run_and_the_error_names_the_folds(registry: Registry, quick: Path) -> None:
    message = f"is a cross-validation, not a single run; pass the run folder of one of its folds: {quick / 'fold-1'}"
    with pytest.raises(RunError, match=message):
        load(quick, registry=registry)


def test_cross_validations_are_compared_by_their_out_of_fold_accuracy(validate: Validate, tmp_path: Path) -> None:
    facts = {
        name: validate(tmp_path / name, **{**QUICK, "lr": lr}).facts for name, lr in (("low", 0.0), ("high", 0.05))
    }
    compared = compare_runs([tmp_path / "low", tmp_path / "high"])
    for one in compared:
        pooled = facts[Path(one.run).name]["out_of_fold"]
        found = (one.accuracy, one.low, one.high, one.images, one.folds)
        assert found == (pooled["accuracy"], pooled["low"], pooled["high"], 34, 3)
    assert len({one.fingerprint for one in compared}) == 1
    assert f"{tmp_path / 'low'} is a cross-validation of 3 folds" in "\n".join(list_doubts(compared))


def test_an_unfinished_cross_validation_is_not_compared(quick: Path, output: Path) -> None:
    shutil.copytree(quick, output)
    (output / "folds.json").unlink()
    with pytest.raises(RunError, match=r"is a cross-validation that is not finished; resume it, or pass one of its"):
        compare_runs([output])


def test_a_single_fold_can_be_trained_on_its_own(
    validate: Validate, drawn_photos: Path, quick: Path, tmp_path: Path
) -> None:
    validate(tmp_path / "alone", drawn_photos, **QUICK, folds=None, fold="2/3")
    for name in ("model.safetensors", "predictions.csv"):
        assert (tmp_path / "alone" / name).read_bytes() == (quick / "fold-2" / name).read_bytes()


def test_the_report_and_the_model_card_say_that_the_last_epoch_was_kept(learned: Run) -> None:
    fold = learned.path / "fold-2"
    report = (fold / "report.html").read_text(encoding="utf-8")
    assert "These images are fold 2 of 3 of a cross-validation." in report
    assert "The model of the last epoch was kept" in report
    assert "(best)" not in report
    assert "Fold 2 of 3 was held out" in (fold / "README.md").read_text(encoding="utf-8")


@pytest.mark.breadth
def test_several_processes_share_each_fold(validate: Validate, tmp_path: Path) -> None:
    first, second = get_results(2, lambda _rank: validate(tmp_path / "together", **HEAD, precision="fp32"))
    assert first.path == second.path == tmp_path / "together"
    assert first.facts == second.facts
    assert len(read_rows(tmp_path / "together")) == first.facts["out_of_fold"]["images"] == 34


def test_images_that_were_not_examined_are_in_one_fold_each(
    validate: Validate, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_EXAMINED_IMAGES", "10")
    damaged = sorted((photos / "train" / "blue").iterdir())[3]
    damaged.write_bytes(damaged.read_bytes()[:60])
    run = validate(**QUICK)
    assert run.facts["out_of_fold"]["images"] == 33
    assert {row["path"] for row in read_rows(output)} == {str(path) for path in photos.rglob("*.png")} - {str(damaged)}


def test_images_of_weight_0_are_in_no_fold(validate: Validate, photos: Path, output: Path) -> None:
    rows = [(str(path), path.parent.name, 0 if path.name == "1.png" else 1) for path in sorted(photos.rglob("*.png"))]
    table = output.parent / "table.csv"
    table.write_text("path,label,sample_weight\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows), encoding="utf-8")
    validate(data=table, **QUICK)
    assert {row["path"] for row in read_rows(output)} == {path for path, _, weight in rows if weight}


def test_random_numbers_of_the_caller_do_not_change(validate: Validate) -> None:
    torch.manual_seed(5)
    expected: Tensor = torch.rand(3)
    torch.manual_seed(5)
    validate(**QUICK)
    assert torch.equal(torch.rand(3), expected)
