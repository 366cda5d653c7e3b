from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from zoo.errors import NameNotFound, RunError, ZooError
from zoo.plugin import BackboneSpec
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.runs.classifier import load
from zoo.training.run import Run


def corrupt(run: Run, change: Callable[[bytes], bytes]) -> None:
    path = run.path / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))


def rewrite(run: Run, tensors: dict[str, torch.Tensor], **fields: str) -> None:
    """Replace tensors and header fields of a model file."""
    path = run.path / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    save_file({**load_file(path), **tensors}, path, metadata={**metadata, **fields})


@pytest.mark.parametrize(
    "form", [lambda run: run, lambda run: run.path, lambda run: str(run.path / "model.safetensors")]
)
def test_load_takes_a_run_its_folder_or_its_model_file(
    run: Run, registry: Registry, form: Callable[[Run], Any]
) -> None:
    classifier = load(form(run), device="cpu", registry=registry)
    assert classifier.classes == ("blue", "red")
    assert not classifier.model.training


def test_the_model_file_alone_suffices(run: Run, registry: Registry, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    shutil.copy(run.path / "model.safetensors", tmp_path / "alone")
    expected = [prediction.top for prediction in load(run, device="cpu", registry=registry).predict(images)]
    found = [p.top for p in load(tmp_path / "alone", device="cpu", registry=registry).predict(images)]
    assert found == expected


def test_a_moved_run_predicts_without_the_training_data(
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
def test_loading_something_other_than_a_run_is_an_error(tmp_path: Path, registry: Registry, name: str) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        load(tmp_path / name, registry=registry)


def test_the_error_for_a_missing_plugin_names_the_plugin(run: Run) -> None:
    with pytest.raises(NameNotFound, match=r"'acme/net': no plugin 'acme' is installed"):
        load(run, registry=Registry([], RegistryToml()))


@pytest.mark.parametrize(
    "change", [lambda _data: b"", lambda data: data[:-8], lambda data: b"\xff" * 16 + data, lambda data: data[:20]]
)
def test_loading_a_damaged_file_is_an_error(run: Run, registry: Registry, change: Callable[[bytes], bytes]) -> None:
    corrupt(run, change)
    with pytest.raises(RunError, match=r"model\.safetensors"):
        load(run, registry=registry)


def test_a_changed_backbone_is_an_error(run: Run, acme: BackboneSpec) -> None:
    wider = replace(acme, build=lambda tag: torch.nn.Sequential(acme.build(tag)), head=("0.classifier.3",))
    registry = Registry([Plugin("acme", "zoo-acme", "2.0", backbones=(wider,))], RegistryToml())
    with pytest.raises(RunError, match="does not match the installed version of its backbone"):
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
def test_an_invalid_header_field_is_a_zoo_error(run: Run, registry: Registry, field: str, value: str) -> None:
    rewrite(run, {}, **{field: value})
    with pytest.raises(ZooError):
        load(run, registry=registry)


@pytest.mark.parametrize(
    "head", ["mlp:9999999,9999999", "mlp:9999999", "mlp:20000,20000", "mlp:13", "mlp:" + ",".join(["1"] * 32)]
)
def test_a_head_that_the_file_does_not_contain_is_refused_before_it_is_allocated(
    run: Run, registry: Registry, monkeypatch: pytest.MonkeyPatch, head: str
) -> None:
    built: list[int] = []
    note_parameter = nn.Parameter.__new__

    def note(cls: Any, data: Any = None, requires_grad: Any = True) -> Any:  # noqa: FBT002  # as in torch
        built.append(0 if data is None or data.is_meta else data.numel())
        return note_parameter(cls, data, requires_grad)

    monkeypatch.setattr(nn.Parameter, "__new__", note)
    rewrite(run, {}, head=f'"{head}"')
    with pytest.raises(RunError, match=r"does not match the installed version of its backbone: classifier\.\S+"):
        load(run, registry=registry)
    assert 0 < max(built) < 2000


@pytest.mark.parametrize("shape", [(3, 12), (2, 13), (2,)])
def test_a_tensor_with_another_shape_is_refused_on_one_line(
    run: Run, registry: Registry, shape: tuple[int, ...]
) -> None:
    rewrite(run, {"classifier.3.weight": torch.zeros(shape)})
    with pytest.raises(RunError, match=r"classifier\.3\.weight is \([^\n\t]*\), not \(2, 12\)\.$"):
        load(run, registry=registry)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu])
def test_a_run_with_float8_values_is_refused(run: Run, registry: Registry, dtype: torch.dtype) -> None:
    rewrite(run, {"stem.0.bias": torch.ones(8).to(dtype)})
    with pytest.raises(RunError, match=r"data types that zoo cannot load \(.*\): stem\.0\.bias \(float8"):
        load(run, registry=registry)


def test_the_head_is_loaded_from_the_file(run: Run, registry: Registry) -> None:
    tensors = load_file(run.path / "model.safetensors")
    state = load(run, device="cpu", registry=registry).model.state_dict()
    assert not any(tensor.is_meta for tensor in state.values())
    assert all(torch.equal(state[name], tensor) for name, tensor in tensors.items())


def test_loading_does_not_change_the_callers_random_state(run: Run, registry: Registry) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    load(run, device="cpu", registry=registry)
    assert torch.equal(torch.get_rng_state(), before)
