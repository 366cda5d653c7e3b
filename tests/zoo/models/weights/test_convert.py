"""Converting a file of torch.save keeps the values of its tensors and makes their names those of the model."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import zoo
from acme import INPUT
from weights_files import TENSORS, same
from zoo.errors import OptionError, WeightsError
from zoo.models.weights.convert import Converted
from zoo.models.weights.header import Header


def convert(tmp_path: Path, content: Any, name: str = "net.pth", **options: Any) -> tuple[Converted, dict[str, Tensor]]:
    torch.save(content, tmp_path / name)
    converted = zoo.convert_weights(tmp_path / name, tmp_path / "out.safetensors", **options)
    return converted, load_file(tmp_path / "out.safetensors")


def refusal(tmp_path: Path, content: Any, **options: Any) -> str:
    with pytest.raises((WeightsError, OptionError)) as caught:
        convert(tmp_path, content, **options)
    assert not (tmp_path / "out.safetensors").exists()
    return str(caught.value)


def add(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in TENSORS.items()}


@pytest.mark.parametrize("name", ["n.pth", "n.pt", "n.ckpt", "n.pth.tar", "n.tar", "n.bin", "n", "n.safetensors"])
def test_the_suffix_of_the_file_does_not_matter(tmp_path: Path, name: str) -> None:
    converted, tensors = convert(tmp_path, TENSORS, name)
    assert same(tensors, TENSORS)
    assert (converted.file, converted.output) == (str(tmp_path / name), str(tmp_path / "out.safetensors"))
    assert (converted.tensors, converted.bytes) == (2, (tmp_path / "out.safetensors").stat().st_size)
    assert list(converted.list_notes()) == []


def test_the_notes_list_what_was_converted_and_what_was_not(tmp_path: Path) -> None:
    content = {"epoch": 3, "state_dict": add("module."), "model_ema": TENSORS, "optimizer": {}}
    converted, tensors = convert(tmp_path, content)
    assert same(tensors, TENSORS)
    assert list(converted.list_notes()) == [
        "using the tensors under the key 'state_dict'; set `key` to use those under model_ema",
        "skipping entries that are not weights: epoch, optimizer",
        "removing 'module.' from the names of the tensors",
    ]


@pytest.mark.parametrize(
    ("prefix", "removed"),
    [
        ("module.", ("module.",)),
        ("_orig_mod.", ("_orig_mod.",)),
        ("_orig_mod.module.", ("_orig_mod.", "module.")),
        ("module._orig_mod.", ("_orig_mod.", "module.")),
        ("_forward_module.", ("_forward_module.",)),
        ("layer1._orig_mod.0.", ("_orig_mod.",)),
        (
            "_fsdp_wrapped_module.a._checkpoint_wrapped_module.",
            ("_checkpoint_wrapped_module.", "_fsdp_wrapped_module."),
        ),
    ],
)
def test_what_torch_adds_to_names_is_removed(tmp_path: Path, prefix: str, removed: tuple[str, ...]) -> None:
    converted, tensors = convert(tmp_path, add(prefix))
    kept = "".join(f"{part}." for part in prefix.split(".") if part and f"{part}." not in removed)
    assert same(tensors, add(kept))
    assert converted.removed == removed


@pytest.mark.parametrize("prefix", ["model.", "backbone.", "encoder.", "layer1.module."])
def test_names_that_a_network_may_use_are_kept(tmp_path: Path, prefix: str) -> None:
    converted, tensors = convert(tmp_path, add(prefix))
    assert same(tensors, add(prefix))
    assert converted.removed == ()


def test_module_is_kept_if_only_some_names_begin_with_it(tmp_path: Path) -> None:
    content = add("module.") | {"scale": torch.ones(1)}
    assert same(convert(tmp_path, content)[1], content)


def test_two_tensors_never_get_the_same_name(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"a._orig_mod.w": torch.ones(1), "a.w": torch.zeros(1)})
    assert "several tensors in " in message
    assert message.endswith("would have the same name: a.w")


@pytest.mark.parametrize("asked", ["encoder_q.", "encoder_q", "module.encoder_q."])
def test_a_prefix_chooses_a_part_of_the_file(tmp_path: Path, asked: str) -> None:
    content = add("module.encoder_q.") | {"module.encoder_k.w": torch.ones(2), "module.encoder_q2.w": torch.ones(2)}
    converted, tensors = convert(tmp_path, content, prefix=asked)
    assert same(tensors, TENSORS)
    assert converted.not_below == ("module.encoder_k.w", "module.encoder_q2.w")
    assert f"{asked.rstrip('.')}." in converted.removed
    assert "skipping the other tensors: module.encoder_k.w, module.encoder_q2.w" in converted.list_notes()


def test_an_unknown_prefix_is_an_error_that_lists_the_first_parts(tmp_path: Path) -> None:
    message = refusal(tmp_path, add("module.student.") | {"module.teacher.w": torch.ones(1)}, prefix="encoder")
    assert message.endswith("no tensors under the `prefix` 'encoder'; its names begin with student., teacher..")


def test_a_key_chooses_other_weights(tmp_path: Path) -> None:
    converted, tensors = convert(tmp_path, {"model": {"w": torch.ones(1)}, "model_ema": TENSORS}, key="model_ema")
    assert same(tensors, TENSORS)
    assert (converted.key, converted.other_keys) == ("model_ema", ("model",))


def test_shared_strided_and_trainable_tensors_are_written_whole(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    content = {
        "one": base,
        "same": base,
        "turned": base.T,
        "part": base[1:, ::2],
        "repeated": torch.ones(1).expand(5),
        "trained": nn.Parameter(base.clone()),
        "half": base.half(),
        "number": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "mask": torch.tensor([0.0, -float("inf")]),
    }
    assert same(convert(tmp_path, content)[1], content)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.eye(3).to_sparse(), "w is a sparse, quantized or meta tensor"),
        (torch.ones(2, device="meta"), "w is a sparse, quantized or meta tensor"),
        (torch.tensor([1.0, float("nan")]), "w has NaN values"),
    ],
    ids=["sparse", "meta", "NaN"],
)
def test_tensors_that_are_not_weights_are_refused(tmp_path: Path, tensor: Tensor, words: str) -> None:
    assert words in refusal(tmp_path, {"v": torch.ones(2), "w": tensor})


def test_an_existing_file_is_replaced_only_if_asked(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"mine")
    with pytest.raises(OptionError, match=r"out\.safetensors exists; choose a different name, or set `overwrite`"):
        convert(tmp_path, TENSORS)
    assert output.read_bytes() == b"mine"
    assert same(convert(tmp_path, TENSORS, overwrite=True)[1], TENSORS)


def test_a_failed_conversion_keeps_the_existing_file(tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    output.write_bytes(b"mine")
    with pytest.raises(WeightsError):
        convert(tmp_path, {"w": torch.tensor([float("nan")])}, overwrite=True)
    assert output.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.pth", "out.safetensors"]


@pytest.mark.parametrize("name", ["out.pth", "out", "out.safetensors.bin"])
def test_the_output_must_be_called_safetensors(tmp_path: Path, name: str) -> None:
    torch.save(TENSORS, tmp_path / "net.pth")
    with pytest.raises(OptionError, match=r"must end in \.safetensors, because `weights` accepts only such files"):
        zoo.convert_weights(tmp_path / "net.pth", tmp_path / name)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "net.pth")
    with pytest.raises(OptionError, match=r"cannot be written, because .*no is not a folder; create it first"):
        zoo.convert_weights(tmp_path / "net.pth", tmp_path / "no" / "out.safetensors")


def test_a_missing_file_or_a_folder_is_an_error(tmp_path: Path) -> None:
    for name, problem in (("net.pth", "does not exist"), ("", "is a folder")):
        with pytest.raises(WeightsError, match=rf"{problem}; pass a file with weights"):
            zoo.convert_weights(tmp_path / name, tmp_path / "out.safetensors")


def test_a_safetensors_file_loses_its_prefix(tmp_path: Path) -> None:
    save_file(add("encoder_q.") | {"queue": torch.ones(2)}, tmp_path / "net.safetensors")
    zoo.convert_weights(tmp_path / "net.safetensors", tmp_path / "out.safetensors", prefix="encoder_q.")
    assert same(load_file(tmp_path / "out.safetensors"), TENSORS)
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_the_model_of_a_run_is_refused_because_it_would_lose_its_header(tmp_path: Path) -> None:
    header = Header("acme/net", None, "linear", ("a", "b"), INPUT, "none", "none")
    save_file(TENSORS, tmp_path / "model.safetensors", metadata=header.to_metadata())
    with pytest.raises(WeightsError, match="is the model of a run; pass it to `weights` without converting it"):
        zoo.convert_weights(tmp_path / "model.safetensors", tmp_path / "out.safetensors")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu])
def test_a_data_type_that_cannot_be_loaded_is_not_converted(tmp_path: Path, dtype: torch.dtype) -> None:
    text = refusal(tmp_path, {"a": torch.ones(2), "b": torch.ones(2).to(dtype)})
    assert f"it has data types that zoo cannot load (convert them to float32): b ({str(dtype)[6:]})" in text


def test_a_name_that_safetensors_reserves_is_refused(tmp_path: Path) -> None:
    assert "a tensor is called __metadata__" in refusal(tmp_path, {"__metadata__": torch.ones(2), "a": torch.ones(1)})
    assert "a tensor is called __metadata__" in refusal(tmp_path, {"module.__metadata__": torch.ones(2)})


def test_a_usual_checkpoint_is_converted(tmp_path: Path) -> None:
    content = {
        "best_acc1": np.float64(0.5),
        "at": dt.date(2026, 1, 2),
        "out": Path("runs"),
        "state_dict": TENSORS,
    }
    converted, tensors = convert(tmp_path, content)
    assert same(tensors, TENSORS)
    assert converted.left_out == ("best_acc1", "at", "out")


def test_tensors_that_are_far_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    expanded = {f"{number}": torch.ones(1).expand(20_000, 10_000) for number in range(100)}  # 80 GB
    assert re.search(r"it has [\d,]+ bytes, but its tensors would take 80,000,000,000", refusal(tmp_path, expanded))


def test_tied_and_slightly_expanded_tensors_are_converted(tmp_path: Path) -> None:
    tied = torch.rand(100)
    _, tensors = convert(tmp_path, {"one": tied, "two": tied, "three": torch.ones(1).expand(1000, 1000)})
    assert same(tensors, {"one": tied, "two": tied, "three": torch.ones(1000, 1000)})
