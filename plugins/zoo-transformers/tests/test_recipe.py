"""The documentation's function renames the tensors of an older transformers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from transformers.utils import logging

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "networks-that-are-not-yours.md"
#: Parts of the names that transformers 5 gave the tensors of ViT, and those that they had before.
RENAMED = {
    "vit.layers.": "vit.encoder.layer.",
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


@pytest.fixture
def convert() -> Iterator[Callable[..., Any]]:
    """The function on the page."""
    (code,) = re.findall(r"<!-- file: convert.py -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # the documentation's own code
    yield names["convert"]
    logging.enable_progress_bar()


def make_vit() -> nn.Module:
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            hidden_size=8,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            image_size=32,
            patch_size=8,
            num_labels=3,
        )
    )


def age(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a model under their old names."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        for new, old in RENAMED.items():
            name = name.replace(new, old)  # noqa: PLW2901  # several parts may differ
        tensors[name] = tensor
    return tensors


def test_tensors_with_old_names_get_the_names_of_the_model(convert: Callable[..., Any]) -> None:
    published, model = make_vit(), make_vit()
    found = convert("in1k", age(published), model)
    assert found.keys() == model.state_dict().keys() != age(published).keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in published.state_dict().items())


def test_a_tensor_that_the_file_lacks_is_not_drawn(convert: Callable[..., Any]) -> None:
    tensors, model = age(make_vit()), make_vit()
    del tensors["vit.encoder.layer.1.output.dense.bias"]
    assert model.state_dict().keys() - convert("in1k", tensors, model).keys() == {"vit.layers.1.mlp.fc2.bias"}
