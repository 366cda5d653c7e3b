from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from recording_progress import RecordingProgress
from zoo.errors import OptionError, RunError
from zoo.runs.export.export import Export, export_run
from zoo.runs.export.golden import SIZES

pytestmark = pytest.mark.usefixtures("few_images")


def read_golden(export: Export) -> dict[str, dict[str, float]]:
    content: dict[str, dict[str, float]] = json.loads((export.path / "golden" / "probabilities.json").read_text())
    return content


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A program of torch.export. Tests only read it."""
    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "run"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("zoo.runs.export.batches.MAX_IMAGES", 12)
        export = export_run(run, "pt2")
    assert export.path == run / "exports" / "pt2"
    return export


def test_a_program_of_torch_export_takes_image_files_and_has_the_names_of_the_classes(exported: Export) -> None:
    export = exported
    assert export.is_proved
    assert export.images == 12
    assert export.parity["images"].same_top == export.parity["images"].predictions > 12
    assert export.parity["images"].difference < 5e-3
    files = {"zoo.json": ""}
    module = torch.export.load(export.path / "model.pt2", extra_files=files).module()  # type: ignore[arg-type]
    assert json.loads(files["zoo.json"])["classes"] == ["moons", "suns"]
    for name, expected in read_golden(export).items():
        pixels = torch.from_numpy(np.asarray(Image.open(export.path / "golden" / name)).copy())
        assert torch.allclose(module(pixels[None])[0], torch.tensor([*expected.values()]), atol=1e-3)
    assert len(read_golden(export)) == len(SIZES)


def test_a_program_of_torch_export_contains_no_path_of_this_machine(exported: Export) -> None:
    with zipfile.ZipFile(exported.path / "model.pt2") as archive:
        contents = [archive.read(name) for name in archive.namelist()]
    own, torchs = (str(Path(module.__file__ or "").parent).encode() for module in (zoo, torch))
    assert not [content[:50] for content in contents if own in content or torchs in content]


@pytest.mark.breadth
def test_onnx_files_run_in_onnx_runtime_with_both_kinds_of_input(tiny_run: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    inside, outside = export_run(tiny_run, "onnx"), export_run(tiny_run, "onnx", preprocess="outside")
    assert outside.path == tiny_run / "exports" / "onnx-outside"
    assert set(inside.parity) == {"images"}
    assert set(outside.parity) == {"images", "tensors"}
    assert outside.parity["tensors"].difference < 1e-4
    session = runtime.InferenceSession(inside.path / "model.onnx")
    assert [each.shape[3] for each in session.get_inputs()] == [3]
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == ["moons", "suns"]
    image = Image.open(inside.path / "golden" / "1.png")
    (found,) = session.run(None, {"images": np.asarray(image)[None]})[0]
    assert np.allclose(found, [*read_golden(inside)["1.png"].values()], atol=1e-3)


@pytest.mark.breadth
def test_the_record_has_the_result_of_the_proof_and_no_path_of_this_machine(tiny_run: Path, tmp_path: Path) -> None:
    export = export_run(tiny_run, "pt2", output=tmp_path / "out", preprocess="outside")
    text = (export.path / "export.json").read_text()
    record = json.loads(text)
    assert str(tmp_path) not in text
    assert record["proved"] is True
    assert (record["format"], record["preprocess"], record["classes"]) == ("pt2", "outside", ["moons", "suns"])
    assert record["parity"]["tensors"]["bound"] == 1e-4
    assert record["validation_images"] > record["images"] == 12
    assert "were reduced to 12" in record["reason"]


@pytest.mark.breadth
def test_without_the_images_the_export_is_not_proved_but_compared_on_drawn_images(tiny_run: Path, drawn: Path) -> None:
    moved = drawn.rename(drawn.with_name("moved"))
    try:
        export = export_run(tiny_run, "pt2")
    finally:
        moved.rename(drawn)
    assert not export.is_proved
    assert export.images == 0
    assert "12 are gone" in export.reason
    assert export.parity["images"].predictions > len(SIZES)


@pytest.mark.breadth
def test_a_run_without_predictions_is_exported_without_a_proof(tiny_run: Path) -> None:
    (tiny_run / "predictions.jsonl").unlink()
    export = export_run(tiny_run, "pt2")
    assert not export.is_proved
    assert "predictions.jsonl" in export.reason


def test_an_existing_export_is_kept(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(RunError, match="contains other files"):
        export_run(tiny_run, "pt2", output=tmp_path / "out")


@pytest.mark.parametrize(
    ("format", "preprocess", "message"),
    [
        ("tflite", None, "there is no `format` 'tflite'; choose one of onnx, pt2, timm, transformers"),
        ("pt2", "both", "there is no `preprocess` 'both'; choose one of inside, outside"),
        ("timm", "inside", "does not apply to `format` timm"),
        ("transformers", "inside", "does not apply to `format` transformers, because transformers prepares"),
        ("timm", None, "timm is not known to have a network with the same weights as tiny/tiny"),
    ],
)
def test_unsupported_options_are_refused(tiny_run: Path, format: str, preprocess: str | None, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        export_run(tiny_run, format, preprocess=preprocess)
    assert not list((tiny_run / "exports").glob("*"))


def test_a_missing_package_is_named(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.runs.export.packages.find_spec", lambda name: None if name == "onnxruntime" else name)
    with pytest.raises(OptionError, match="`format` onnx needs onnxruntime; install it with: pip install onnxruntime"):
        export_run(tiny_run, "onnx")


def test_a_moved_run_still_predicts_after_an_export(tiny_run: Path, drawn: Path, tmp_path: Path) -> None:
    (tiny_run / "exports").mkdir()
    moved = shutil.move(tiny_run, tmp_path / "moved")
    (prediction,) = zoo.load(moved).predict([next((drawn / "val" / "suns").iterdir())], progress=RecordingProgress())
    assert prediction.top
