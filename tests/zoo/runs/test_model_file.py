from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from zoo.errors import RunError
from zoo.models.build import Network
from zoo.models.head import Head
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec, InputSpec, WeightsSpec
from zoo.registry.head_design import HeadDesign
from zoo.runs.model_file import _allocate, load_header, load_tensors, make_header, save_model

HEADER = Header(
    backbone="acme/net",
    tag=None,
    head="linear",
    classes=("blue", "red"),
    input=InputSpec(),
    weights="none",
    weights_license="none",
)


@pytest.fixture
def model(acme: BackboneSpec) -> nn.Module:
    torch.manual_seed(0)
    model = acme.build(None)
    model.train()(torch.randn(4, 3, 16, 16))  # This changes the batch norm statistics.
    return model


@pytest.fixture
def umask() -> Iterator[None]:
    old = os.umask(0o022)
    yield
    os.umask(old)


# Tensors.


def test_a_saved_model_is_loaded_back_bit_for_bit(acme: BackboneSpec, model: nn.Module, tmp_path: Path) -> None:
    save_model(model, HEADER, tmp_path / "model.safetensors")
    other = acme.build(None)
    load_tensors(other, tmp_path / "model.safetensors")
    saved = model.state_dict()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in other.state_dict().items())


def test_the_file_loads_strictly_into_the_upstream_model(acme: BackboneSpec, model: nn.Module, tmp_path: Path) -> None:
    save_model(model, HEADER, tmp_path / "model.safetensors")
    other = acme.build(None)
    other.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(other.eval()(images), model.eval()(images))


def test_tensors_that_are_not_contiguous_are_saved_with_their_values(model: nn.Module, tmp_path: Path) -> None:
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.register_buffer("turned", torch.arange(6.0).reshape(2, 3).T)
    model.register_buffer("spread", torch.ones(1, 3).expand(2, 3))
    model.register_buffer("empty", torch.zeros(0, 3))
    model.register_buffer("scalar", torch.tensor(3))
    save_model(model, HEADER, tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    saved = model.state_dict()
    assert found.keys() == saved.keys()
    assert all(torch.equal(tensor, saved[name]) for name, tensor in found.items())
    assert not saved["stem.0.weight"].is_contiguous()  # Saving does not change the model.


class Shared(nn.Module):
    """A layer with two names, and two buffers that share memory."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3)
        self.two = self.one
        memory = torch.arange(6.0)
        self.register_buffer("low", memory[:3])
        self.register_buffer("high", memory[3:])


def test_tensors_that_share_memory_are_saved_under_every_name(tmp_path: Path) -> None:
    model, other = Shared(), Shared()
    save_model(model, HEADER, tmp_path / "model.safetensors")
    found = load_file(tmp_path / "model.safetensors")
    assert torch.equal(found["one.weight"], found["two.weight"])
    assert found["high"].tolist() == [3, 4, 5]
    load_tensors(other, tmp_path / "model.safetensors")
    assert torch.equal(other.two.weight, model.one.weight)
    assert other.one is other.two
    other.load_state_dict(found, strict=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_are_preserved(model: nn.Module, dtype: torch.dtype, tmp_path: Path) -> None:
    save_model(model.to(dtype), HEADER, tmp_path / "model.safetensors")
    assert load_file(tmp_path / "model.safetensors")["stem.0.weight"].dtype == dtype


def test_the_same_model_is_saved_as_the_same_bytes(model: nn.Module, tmp_path: Path) -> None:
    files = set()
    for _ in range(8):
        save_model(model, replace(HEADER, classes=("blau", "grün", "\U0001f98a", '"')), tmp_path / "model.safetensors")
        files.add((tmp_path / "model.safetensors").read_bytes())
    assert len(files) == 1


def test_the_error_for_a_file_of_a_different_model_lists_the_differences(
    acme: BackboneSpec, model: nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    tensors = dict(model.state_dict())
    save_file({name: tensor for name, tensor in tensors.items() if name != "stem.0.bias"}, path)
    with pytest.raises(RunError, match=r"does not match the installed version of its backbone: stem\.0\.bias differ"):
        load_tensors(acme.build(None), path)
    save_file({**tensors, "extra": torch.ones(1)}, path)
    with pytest.raises(RunError, match="extra differ"):
        load_tensors(acme.build(None), path)
    save_file({**tensors, "stem.0.bias": torch.ones(9)}, path)
    with pytest.raises(RunError, match=r"stem\.0\.bias is"):
        load_tensors(acme.build(None), path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>", b"\x00" * 64, b"\xff" * 64])
def test_the_error_for_a_damaged_file_names_it(acme: BackboneSpec, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match=str(path)):
        load_tensors(acme.build(None), path)
    with pytest.raises(RunError, match=str(path)):
        load_header(path)


def test_the_error_for_a_truncated_file_names_it(acme: BackboneSpec, model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(model, HEADER, path)
    path.write_bytes(path.read_bytes()[:-100])
    for read in (load_header, lambda path: load_tensors(acme.build(None), path)):
        with pytest.raises(RunError, match=str(path)):
            read(path)


def test_the_error_for_a_missing_file_names_it(acme: BackboneSpec, tmp_path: Path) -> None:
    for read in (load_header, lambda path: load_tensors(acme.build(None), path)):
        with pytest.raises(RunError, match=str(tmp_path / "gone")):
            read(tmp_path / "gone")


# The header.


@given(
    classes=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, unique=True),
    tag=st.none() | st.text(st.characters(codec="utf-8")),
)
@settings(max_examples=50, deadline=None)
def test_a_header_is_read_back_with_any_class_names(
    tmp_path_factory: pytest.TempPathFactory, classes: list[str], tag: str | None
) -> None:
    header = replace(HEADER, classes=tuple(classes), tag=tag)
    path = tmp_path_factory.getbasetemp() / "header.safetensors"
    save_model(nn.Linear(1, 1), header, path)
    assert load_header(path) == header


@pytest.mark.parametrize(
    "classes", [("ä", "ß"), ('"', "'"), ("a/b", "a\\b"), ("a\nb", "\t"), ("猫", "🐕"), ("{}", "[]"), ("\udcff", "x")]
)
def test_unusual_class_names_are_read_back(tmp_path: Path, classes: tuple[str, ...]) -> None:
    save_model(nn.Linear(1, 1), replace(HEADER, classes=classes), tmp_path / "odd.safetensors")
    assert load_header(tmp_path / "odd.safetensors").classes == classes


def test_an_input_is_read_back(tmp_path: Path) -> None:
    size = InputSpec(size=(3, 32, 48), resize=50, crop="border", interpolation="bicubic", mean=(0, 0, 0), std=(1, 2, 3))
    save_model(nn.Linear(1, 1), replace(HEADER, input=size), tmp_path / "input.safetensors")
    assert load_header(tmp_path / "input.safetensors").input == size


def test_a_file_that_zoo_did_not_write_is_an_error(tmp_path: Path) -> None:
    save_file({"weight": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(RunError, match=r"foreign\.safetensors was not written by zoo; pass a run folder"):
        load_header(tmp_path / "foreign.safetensors")


def test_a_newer_format_is_an_error_with_advice(tmp_path: Path) -> None:
    metadata = {**HEADER.to_metadata(), "zoo_format": "2"}
    save_file({"weight": torch.ones(1)}, tmp_path / "new.safetensors", metadata=metadata)
    with pytest.raises(RunError, match=r"zoo format 2, but this version reads format 1; upgrade zoo"):
        load_header(tmp_path / "new.safetensors")


@pytest.mark.parametrize("field", ["backbone", "tag", "head", "classes", "input", "weights", "weights_license"])
def test_a_header_with_a_missing_field_is_an_error(tmp_path: Path, field: str) -> None:
    metadata = {name: value for name, value in HEADER.to_metadata().items() if name != field}
    save_file({"weight": torch.ones(1)}, tmp_path / "damaged.safetensors", metadata=metadata)
    with pytest.raises(RunError, match=f"damaged header: .*`{field}`"):
        load_header(tmp_path / "damaged.safetensors")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", "null"),
        ("classes", "5"),
        ("classes", "{"),
        ("input", "null"),
        ("input", "[]"),
        ("input", '{"size": [3]}'),
        ("input", '{"unknown": 1}'),
        ("classes", '["a", 1]'),
        ("tag", "1"),
        ("backbone", "null"),
        ("head", "[]"),
        ("weights", "1"),
        ("weights_license", "{}"),
        ("head", '"mlp:0"'),
        ("head", '"mlp:99999999"'),
        ("classes", "[" * 10_000 + "]" * 10_000),
        ("input", '{"mean": [NaN, 0, 0]}'),
    ],
)
def test_a_header_with_a_damaged_field_is_an_error(tmp_path: Path, field: str, value: str) -> None:
    metadata = {**HEADER.to_metadata(), field: value}
    save_file({"weight": torch.ones(1)}, tmp_path / "damaged.safetensors", metadata=metadata)
    with pytest.raises(RunError, match="damaged header"):
        load_header(tmp_path / "damaged.safetensors")


def test_a_header_is_text_that_other_tools_can_read() -> None:
    metadata = HEADER.to_metadata()
    assert metadata["format"] == "pt"  # Transformers requires this field.
    assert json.loads(metadata["classes"]) == ["blue", "red"]
    assert all(isinstance(value, str) for value in metadata.values())


@pytest.mark.parametrize(
    ("weights", "license"),
    [
        (WeightsSource("none"), "none"),
        (WeightsSource("my.safetensors", file=Path("my.safetensors")), "unknown"),
        (WeightsSource("ONE", "ONE", weights=WeightsSpec(tag="ONE", url=None, license="CC-BY-NC-4.0")), "CC-BY-NC-4.0"),
    ],
)
def test_a_header_has_the_license_of_the_initial_weights(
    acme: BackboneSpec, weights: WeightsSource, license: str
) -> None:
    spec = replace(acme, weights=(weights.weights,) if weights.weights else ())
    network = Network(spec, weights, HeadDesign((4, 2)), acme.build(None), Head(("classifier",)))
    header = make_header(network, ["a", "b"])
    assert (header.weights, header.weights_license, header.tag) == (weights.label, license, weights.tag)
    assert (header.backbone, header.head, header.classes) == ("acme/net", "mlp:4,2", ("a", "b"))


def test_the_license_in_a_file_of_version_0_1_is_read(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    old = {name.replace("license", "licence"): text for name, text in HEADER.to_metadata().items()}
    old["weights_licence"] = json.dumps("CC-BY-NC-4.0")
    save_file(model.state_dict(), path, metadata=old)
    assert load_header(path).weights_license == "CC-BY-NC-4.0"


def test_a_parameter_with_two_names_in_a_module_gets_memory_under_both() -> None:
    with torch.device("meta"):
        layer = nn.Linear(2, 2)
        layer.other = layer.weight
    _allocate(layer)
    assert {tensor.device.type for tensor in layer.state_dict().values()} == {"cpu"}
