from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from unprivileged import obeying_permissions
from zoo.data.decode import decode_image
from zoo.data.transform import build_eval_transform
from zoo.engine.inference import BATCH
from zoo.errors import DataError
from zoo.models.head import replace_head
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign
from zoo.runs.classifier import Classifier
from zoo.training.run import Run


def test_probabilities_are_the_softmax_of_the_upstream_models_logits(
    run: Run, acme: BackboneSpec, classifier: Classifier, images: list[Path]
) -> None:
    model = acme.build(None).eval()
    replace_head(acme, model, 2, HeadDesign())
    model.load_state_dict(load_file(run.path / "model.safetensors"))
    prepare = build_eval_transform(acme.input)
    batch = torch.stack([prepare(decode_image(path)) for path in images])
    with torch.inference_mode():
        expected = model(batch).softmax(1)
    predictions = list(classifier.predict(images, top=2))
    assert [prediction.path for prediction in predictions] == images
    for prediction, row in zip(predictions, expected, strict=True):
        assert dict(prediction.top) == pytest.approx({"blue": row[0].item(), "red": row[1].item()}, abs=1e-6)
        assert prediction.top[0][1] >= prediction.top[1][1]


def test_predictions_do_not_depend_on_the_batch(classifier: Classifier, images: list[Path]) -> None:
    many = images * 4  # These are more than one batch.
    assert len(many) > BATCH
    alone = {path: next(iter(classifier.predict([path]))).top[0][1] for path in images}
    for prediction in classifier.predict(many):
        assert prediction.top[0][1] == pytest.approx(alone[prediction.path], abs=1e-6)


@pytest.mark.parametrize(("top", "count"), [(1, 1), (2, 2), (9, 2)])
def test_top_is_the_number_of_classes_most_probable_first(
    classifier: Classifier, images: list[Path], top: int, count: int
) -> None:
    for prediction in classifier.predict(images, top=top):
        values = [value for _, value in prediction.top]
        assert len(values) == count
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("top", [0, -1])
def test_top_below_1_raises_at_the_call(classifier: Classifier, images: list[Path], top: int) -> None:
    with pytest.raises(DataError, match="`top` must be at least 1"):
        classifier.predict(images, top=top)


def test_a_missing_path_raises_at_the_call(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png' does not exist"):
        classifier.iter_predict(tmp_path / "gone.png")


def test_a_missing_path_among_several_is_reported(classifier: Classifier, images: list[Path], tmp_path: Path) -> None:
    good, *bad = classifier.predict([images[0], tmp_path / "gone.png", tmp_path / ("a" * 300), "gone"])
    assert good.label == "blue"
    assert [prediction.error for prediction in bad] == ["there is no such file or data set"] * 3


def test_a_link_to_a_missing_file_is_reported(classifier: Classifier, images: list[Path], tmp_path: Path) -> None:
    for name, target in {"gone.png": "nowhere.png", "loop.png": "loop.png", "folder": "nowhere"}.items():
        (tmp_path / name).symlink_to(target)
    *bad, good = classifier.predict([tmp_path / "gone.png", tmp_path / "loop.png", tmp_path / "folder", images[0]])
    assert [prediction.error for prediction in bad] == ["a link whose target does not exist"] * 3
    assert good.error is None


def test_unreadable_images_are_reported_and_the_others_predicted(
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
    assert predictions[0].error == "a text file, not an image in a supported format"
    assert not any(str(prediction.path) in str(prediction.error) for prediction in predictions)


def test_images_of_different_sizes_and_modes_share_a_batch(classifier: Classifier, tmp_path: Path) -> None:
    sizes = {"L": (9, 70), "RGBA": (64, 64), "P": (1, 1), "RGB": (300, 20)}
    for mode, size in sizes.items():
        Image.new(mode, size).save(tmp_path / f"{mode}.png")
    predictions = list(classifier.predict([tmp_path / f"{mode}.png" for mode in sizes]))
    assert [prediction.error for prediction in predictions] == [None] * 4


def test_a_folder_means_all_its_images_sorted(classifier: Classifier, photos: Path, images: list[Path]) -> None:
    predictions = list(classifier.predict([photos / "val"]))
    assert [prediction.path for prediction in predictions] == images
    assert not any(prediction.error for prediction in predictions)


def test_every_skipped_file_in_a_folder_has_a_reason(classifier: Classifier, photos: Path) -> None:
    left_out = ("notes.txt", "._0.png", "red/noext", "red/x.svg", "__MACOSX/red/0.png", ".ipynb_checkpoints/0.png")
    for name in left_out:
        (photos / "val" / name).parent.mkdir(exist_ok=True, parents=True)
        (photos / "val" / name).touch()
    (photos / "val" / "red" / "linked").symlink_to(photos / "train", target_is_directory=True)
    predictions = classifier.predict(photos / "val")
    reasons = {p.path.relative_to(photos / "val").as_posix(): (p.error or "").partition(" (")[0] for p in predictions}
    assert {name: reason for name, reason in reasons.items() if reason} == {
        "notes.txt": "unsupported file type .txt",
        "._0.png": "hidden file",
        "red/noext": "unsupported file type",
        "red/x.svg": "unsupported file type .svg",
        "__MACOSX": "system folder",
        ".ipynb_checkpoints": "hidden folder",
        "red/linked": "a link to a folder outside the data folder",
    }


@pytest.mark.parametrize(
    "text",
    [
        "path,label\nval/blue/0.png,\nval/gone.png,x\na.txt,y\n",
        "id,File_Name\n1,val/blue/0.png\n2,val/gone.png\n3,a.txt\n",
        "val/blue/0.png\nval/gone.png\na.txt\n",
    ],
)
def test_a_table_means_the_images_that_it_lists_with_or_without_labels(
    classifier: Classifier, photos: Path, text: str
) -> None:
    (photos / "t.csv").write_text(text, encoding="utf-8")
    good, gone, other = classifier.predict(photos / "t.csv")
    assert (good.path, good.top[0][0]) == (photos / "val/blue/0.png", "blue")
    assert (gone.path, gone.error) == (photos / "val/gone.png", "there is no such file")
    assert str(other.error).startswith("unsupported file type .txt")


def test_an_archive_means_all_its_images(
    classifier: Classifier, photos: Path, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    (photos / "val" / "notes.txt").touch()
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", photos / "val")
    *good, left_out = sorted(classifier.predict(archive), key=lambda item: item.error is not None)
    assert [item.top for item in good] == [item.top for item in classifier.predict(images)]
    assert left_out.path.name == "notes.txt"


def test_a_table_without_paths_raises_at_the_call(classifier: Classifier, tmp_path: Path) -> None:
    for text, message in (
        ("id,text\n1,x\n", "no column for image among 'id', 'text'"),
        ("path\nx.txt\n", "no images in"),
    ):
        (tmp_path / "t.csv").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            classifier.predict(tmp_path / "t.csv")


def test_a_folder_without_images_raises_at_the_call(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images in .*empty"):
        classifier.predict([tmp_path / "empty"])


def test_without_images_there_are_no_predictions(classifier: Classifier) -> None:
    assert list(classifier.predict([])) == []


def test_the_json_form_has_the_documented_keys(classifier: Classifier, images: list[Path]) -> None:
    (prediction,) = classifier.predict([images[0]], top=2)
    found = prediction.to_json()
    assert found == {
        "path": str(images[0]),
        "label": prediction.top[0][0],
        "probability": prediction.top[0][1],
        "top": [{"label": label, "probability": value} for label, value in prediction.top],
    }
    assert sum(item["probability"] for item in found["top"]) == pytest.approx(1, abs=1e-6)


def test_a_folder_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path, classifier: Classifier) -> None:
    (tmp_path / "images" / "closed").mkdir(parents=True)
    (tmp_path / "images" / "a.png").touch()
    (tmp_path / "images" / "closed").chmod(0)
    with obeying_permissions(), pytest.raises(DataError, match=r"cannot list .*images/closed': Permission denied"):
        classifier.predict(tmp_path / "images")


def test_a_name_that_is_too_long_is_an_error(tmp_path: Path, classifier: Classifier) -> None:
    with pytest.raises(DataError, match=r"File name too long"):
        classifier.predict(tmp_path / ("a" * 300))


@pytest.mark.parametrize("limit", [100, 300])
def test_only_the_limit_of_zoo_applies_to_the_pixels_of_an_image(
    classifier: Classifier, images: list[Path], monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # 480 pixels lead to an error or to a warning of Pillow
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        predictions = list(classifier.predict(images[:1]))
        assert limit == Image.MAX_IMAGE_PIXELS
    assert predictions[0].error is None
    assert [str(warning.message) for warning in caught] == []
