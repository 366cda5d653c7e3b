"""The kit compares a network with its constructor's whatever the types of its parameters are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from zoo.registry.registry import open_registry
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.save import card

LINES = """
import torch
from zoo_tiny_network import TinyNet
model = TinyNet(num_classes={num_classes})
model.norm.table = torch.nn.Parameter(torch.ones(3, dtype=torch.DTYPE), requires_grad=False)
"""


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_a_network_with_a_parameter_of_integers_equals_its_constructors(dtype: torch.dtype) -> None:
    tiny = open_registry().resolve("tiny").backbone

    def build(tag: str | None) -> Any:
        model = tiny.build(tag)
        model.norm.table = nn.Parameter(torch.ones(3, dtype=dtype), requires_grad=False)
        return model

    constructor = LINES.replace("torch.DTYPE", str(dtype))
    changes: dict[str, Any] = {"build": build, "params": tiny.params + 3, "constructor": constructor}
    card(BackboneUnderTest("tiny", replace(tiny, fixed=("norm.table",), **changes)))
