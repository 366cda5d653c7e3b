from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from quick_runs import LEARNS, read_facts
from zoo.classifier import BATCH, Classifier, load
from zoo.data.image import decode_image
from zoo.data.transform import build_eval_transform
from zoo.errors import DataError, NameNotFound, RunError, ZooError
from zoo.finetuning import Run
from zoo.head import replace_head
from zoo.loading import Plugin
from zoo.plugin import BackboneSpec
from zoo.recipe import HeadDesign
from zoo.registry import Registry
from zoo.settings import Settings


@pytest.fixture
def run(train_once: Callable[..., Path]) -> Run:
    """A run of its own for each test, that has learnt."""
    folder = train_once(**LEARNS)
    return Run(folder, read_facts(folder))


@pytest.fixture
def classifier(run: Run, registry: Registry) -> Classifier:
    return load(run, device="cpu", registry=registry)


@pytest.fixture
def images(photos: Path) -> list[Path]:
    return sorted((photos / "val").rglob("*.png"))


def spoil(run: Run, change: Callable[[bytes], bytes]) -> None:
    path = run.path / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))


# Loading.


@pytest.mark.parametrize(
    "form", [lambda run: run, lambda run: run.path, lambda run: str(run.path / "model.safetensors")]
)
def test_a_run_is_loaded_by_itself_its_folder_or_its_file(
    run: Run, registry: Registry, form: Callable[[Run], Any]
) -> None:
    classifier = load(form(run), device="cpu", registry=registry)
    assert classifier.classes == ("blue", "red")
    assert not classifier.model.training


def test_the_model_file_alone_is_enough(run: Run, registry: Registry, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(run.path / "model.safetensors", tmp_path / "alone")
    wanted = [prediction.top for prediction in load(run, device="cpu", registry=registry).predict(images)]
    found = [p.top for p in load(tmp_path / "alone", device="cpu", registry=registry).predict(images)]
    assert found == wanted


def test_it_predicts_elsewhere_without_the_training_data(
    run: Run, registry: Registry, photos: Path, images: list[Path], *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "new.png"
    shutil.copy(images[0], image)
    shutil.rmtree(photos)
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    run.path.rename(moved)
    monkeypatch.chdir(moved.parent)
    (prediction,) = load("run", device="cpu", registry=registry).predict([image])
    assert prediction.top[0][0] == "blue"


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere/model.safetensors"])
def test_what_is_no_run_is_an_error(tmp_path: Path, registry: Registry, name: str) -> None:
    with pytest.raises(RunError, match="is no run"):
        load(tmp_path / name, registry=registry)


def test_a_run_of_a_plugin_that_is_not_installed_is_an_error_that_names_it(run: Run) -> None:
    with pytest.raises(NameNotFound, match=r"'acme/net': no plugin 'acme' is installed"):
        load(run, registry=Registry([], Settings()))


@pytest.mark.parametrize(
    "change", [lambda _data: b"", lambda data: data[:-8], lambda data: b"\xff" * 16 + data, lambda data: data[:20]]
)
def test_a_damaged_file_is_an_error(run: Run, registry: Registry, change: Callable[[bytes], bytes]) -> None:
    spoil(run, change)
    with pytest.raises(RunError, match=r"model\.safetensors"):
        load(run, registry=registry)


def test_a_backbone_that_has_changed_is_an_error(run: Run, acme: BackboneSpec) -> None:
    wider = replace(acme, build=lambda tag: torch.nn.Sequential(acme.build(tag)), head=("0.classifier.3",))
    registry = Registry([Plugin("acme", "zoo-acme", "2.0", backbones=(wider,))], Settings())
    with pytest.raises(RunError, match="does not fit its backbone as it is installed"):
        load(run, registry=registry)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head", '"deep"'),
        ("classes", '["a"]'),
        ("classes", "[]"),
        ("classes", "[1, 2]"),
        ("head", "5"),
        ("backbone", "5"),
        ("backbone", "null"),
        ("tag", "5"),
        ("weights", "[]"),
    ],
)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_a_header_that_makes_no_sense_is_an_error_and_no_crash(
    run: Run, registry: Registry, field: str, value: str
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = run.path / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    save_file(load_file(path), path, metadata={**metadata, field: value})
    with pytest.raises(ZooError):
        load(run, registry=registry)


def test_loading_leaves_the_random_numbers_of_the_caller_alone(run: Run, registry: Registry) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    load(run, device="cpu", registry=registry)
    assert torch.equal(torch.get_rng_state(), before)


# Predicting.


def test_predictions_are_the_softmax_of_the_plain_model(
    run: Run, acme: BackboneSpec, classifier: Classifier, images: list[Path]
) -> None:
    model = acme.build(None).eval()
    replace_head(acme, model, 2, HeadDesign())
    model.load_state_dict(load_file(run.path / "model.safetensors"))
    prepare = build_eval_transform(acme.input)
    batch = torch.stack([prepare(decode_image(path)) for path in images])
    with torch.inference_mode():
        wanted = model(batch).softmax(1)
    predictions = list(classifier.predict(images, top=2))
    assert [prediction.path for prediction in predictions] == images
    for prediction, row in zip(predictions, wanted, strict=True):
        assert dict(prediction.top) == pytest.approx({"blue": row[0].item(), "red": row[1].item()}, abs=1e-6)
        assert prediction.top[0][1] >= prediction.top[1][1]


def test_predictions_do_not_depend_on_their_neighbours(classifier: Classifier, images: list[Path]) -> None:
    many = images * 4  # more than one batch
    assert len(many) > BATCH
    alone = {path: next(iter(classifier.predict([path]))).top[0][1] for path in images}
    for prediction in classifier.predict(many):
        assert prediction.top[0][1] == pytest.approx(alone[prediction.path], abs=1e-6)


@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (9, 2)])
def test_top_gives_that_many_classes_or_all_best_first(
    classifier: Classifier, images: list[Path], top: int, count: int
) -> None:
    for prediction in classifier.predict(images, top=top):
        values = [value for _, value in prediction.top]
        assert len(values) == count
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("top", [0, -1])
def test_no_classes_at_all_is_an_error_of_the_call(classifier: Classifier, images: list[Path], top: int) -> None:
    with pytest.raises(DataError, match="at least one"):
        classifier.predict(images, top=top)


def test_a_path_that_does_not_exist_is_an_error_of_the_call_that_names_it(
    classifier: Classifier, images: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no image .*gone\.png"):
        classifier.predict([images[0], tmp_path / "gone.png"])


def test_images_that_cannot_be_read_are_told_and_the_others_predicted(
    classifier: Classifier, images: list[Path], tmp_path: Path
) -> None:
    broken, empty, cut = tmp_path / "broken.png", tmp_path / "empty.jpg", tmp_path / "cut.png"
    broken.write_bytes(b"no image")
    empty.touch()
    cut.write_bytes(images[0].read_bytes()[:300])
    predictions = list(classifier.predict([broken, images[0], empty, images[-1], cut]))
    assert [prediction.error is None for prediction in predictions] == [False, True, False, True, False]
    assert [prediction.top[0][0] for prediction in predictions if prediction.top] == ["blue", "red"]
    assert set(predictions[0].to_json()) == {"path", "error"}
    assert str(broken) in str(predictions[0].error)


def test_images_of_other_sizes_and_modes_go_into_one_batch(classifier: Classifier, tmp_path: Path) -> None:
    sizes = {"L": (9, 70), "RGBA": (64, 64), "P": (1, 1), "RGB": (300, 20)}
    for mode, size in sizes.items():
        Image.new(mode, size).save(tmp_path / f"{mode}.png")
    predictions = list(classifier.predict([tmp_path / f"{mode}.png" for mode in sizes]))
    assert [prediction.error for prediction in predictions] == [None] * 4


def test_a_folder_stands_for_all_images_in_it_sorted(classifier: Classifier, photos: Path, images: list[Path]) -> None:
    (photos / "val" / "notes.txt").touch()
    assert [prediction.path for prediction in classifier.predict([photos / "val"])] == images


def test_a_folder_without_images_is_an_error_of_the_call_that_names_it(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images"):
        classifier.predict([tmp_path / "empty"])


def test_nothing_to_predict_gives_nothing(classifier: Classifier) -> None:
    assert list(classifier.predict([])) == []


def test_json_has_what_is_promised(classifier: Classifier, images: list[Path]) -> None:
    (prediction,) = classifier.predict([images[0]], top=2)
    found = prediction.to_json()
    assert found == {
        "path": str(images[0]),
        "label": prediction.top[0][0],
        "probability": prediction.top[0][1],
        "top": [{"label": label, "probability": value} for label, value in prediction.top],
    }
    assert sum(item["probability"] for item in found["top"]) == pytest.approx(1, abs=1e-6)


# Measuring.


def test_figures_equal_those_counted_from_predictions(classifier: Classifier, photos: Path, registry: Registry) -> None:
    # Two blue images among the red ones, and one image of no use.
    for number in (0, 1):
        (photos / "val" / "blue" / f"{number}.png").rename(photos / "val" / "red" / f"moved{number}.png")
    (photos / "val" / "red" / "broken.png").write_bytes(b"no image")
    result = classifier.evaluate(photos, "val", registry=registry)
    counts = {(true, said): 0 for true in classifier.classes for said in classifier.classes}
    for path in sorted((photos / "val").rglob("*.png")):
        (prediction,) = classifier.predict([path])
        if prediction.error is None:
            counts[path.parent.name, prediction.top[0][0]] += 1
    b, r = "blue", "red"
    assert counts == {(b, b): 3, (b, r): 0, (r, b): 2, (r, r): 5}  # what the test is about
    assert result["confusion"] == [[3, 0], [2, 5]]
    assert result["accuracy"] == pytest.approx(8 / 10)
    assert result["per_class"] == {
        b: {"images": 3, "precision": pytest.approx(3 / 5), "recall": 1.0},
        r: {"images": 7, "precision": 1.0, "recall": pytest.approx(5 / 7)},
    }
    assert (result["split"], result["images"]) == ("val", 10)


def test_validation_gives_the_figures_of_the_run(
    run: Run, classifier: Classifier, photos: Path, registry: Registry
) -> None:
    result = classifier.evaluate(photos, "val", registry=registry)
    assert result["accuracy"] == run.facts["best"]["val_accuracy"]
    assert result["loss"] == pytest.approx(run.facts["best"]["val_loss"], rel=1e-4)
    assert {name: result[name] for name in ("per_class", "confusion")} == {
        name: run.facts["val"][name] for name in ("per_class", "confusion")
    }


@pytest.mark.parametrize(
    ("split", "has_test", "chosen", "images"),
    [
        (None, True, "test", 4),
        (None, False, "val", 10),
        ("train", False, "train", 24),
        ("all", False, "all", 34),
        ("test", True, "test", 4),
    ],
)
def test_the_split_is_the_one_asked_for_or_the_most_telling(
    classifier: Classifier,
    photos: Path,
    registry: Registry,
    *,
    split: str | None,
    has_test: bool,
    chosen: str,
    images: int,
) -> None:
    if has_test:
        for name in ("blue", "red"):
            (photos / "test" / name).mkdir(parents=True)
            for number in (0, 1):
                shutil.copy(photos / "val" / name / f"{number}.png", photos / "test" / name)
    result = classifier.evaluate(photos, split, registry=registry)
    assert (result["split"], result["images"]) == (chosen, images)


def test_a_split_that_is_not_there_is_an_error(classifier: Classifier, photos: Path, registry: Registry) -> None:
    with pytest.raises(DataError, match="test"):
        classifier.evaluate(photos, "test", registry=registry)


def test_classes_are_matched_by_name_and_may_be_fewer(
    classifier: Classifier, photos: Path, registry: Registry, tmp_path: Path
) -> None:
    shutil.copytree(photos / "val" / "red", tmp_path / "only" / "red")
    result = classifier.evaluate(tmp_path / "only", registry=registry)
    assert result["confusion"] == [[0, 0], [0, 5]]
    assert result["per_class"]["blue"] == {"images": 0, "precision": None, "recall": None}


def test_a_class_that_the_run_does_not_know_is_an_error_that_names_it(
    classifier: Classifier, photos: Path, registry: Registry
) -> None:
    shutil.copytree(photos / "val" / "red", photos / "val" / "green")
    with pytest.raises(DataError, match=r"'green'"):
        classifier.evaluate(photos, "val", registry=registry)
