"""Errors in the functions of a plugin are reported with the line of the plugin that caused them."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from zoo.errors import PluginError
from zoo.models.blocks import list_blocks
from zoo.models.build import Network, build_model, try_network
from zoo.models.head import Head, get_head
from zoo.models.weights.choose import WeightsSource
from zoo.models.weights.load import load_tensors
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign

#: A package whose functions fail in various ways. The number of the failing line is in each test.
SOURCE = """import sys
import torch
from torch import nn
from .deep import fail

def build(tag):
    fail()

def build_with_torch(tag):
    return nn.Linear(2, 3)(torch.ones(1, 5))

def leave(tag):
    sys.exit(3)

def find(model):
    return [0][1]

def convert(tag, tensors):
    return {name: tensors[name + 'x'] for name in tensors}

def forget(tag, tensors):
    return list(tensors)

class Net(nn.Module):
    def forward(self, images):
        return images.no_such_method()
"""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The package of a plugin."""
    package = tmp_path / "zoo_faulty"
    package.mkdir()
    (package / "__init__.py").write_text(SOURCE, encoding="utf-8")
    (package / "deep.py").write_text("def fail():\n    raise ValueError('first\\nsecond')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("zoo_faulty")
    for name in ("zoo_faulty", "zoo_faulty.deep"):
        del sys.modules[name]


def refused(call: Callable[[], object], message: str, file: str, line: int) -> bool:
    """Return whether a call is refused with this message and place, on one line."""
    with pytest.raises(PluginError) as caught:
        call()
    return re.fullmatch(rf"{message} \(.*/zoo_faulty/{file}:{line}\)", str(caught.value)) is not None


def test_the_line_of_the_plugin_that_raises_in_build_is_named(code: ModuleType, acme: BackboneSpec) -> None:
    fails, leaves = (replace(acme, build=build) for build in (code.build, code.leave))
    failed = "acme/net cannot be built:"
    assert refused(lambda: build_model(fails, None), f"{failed} ValueError: first second", "deep.py", 2)
    assert refused(lambda: build_model(leaves, None), f"{failed} SystemExit: 3", "__init__.py", 13)


def test_an_error_in_torch_is_reported_with_the_line_of_the_plugin_that_calls_it(
    code: ModuleType, acme: BackboneSpec
) -> None:
    spec = replace(acme, build=code.build_with_torch)
    assert refused(lambda: build_model(spec, None), "acme/net cannot be built: RuntimeError: .*", "__init__.py", 10)


def test_the_line_of_the_plugin_that_raises_in_forward_is_named(code: ModuleType, acme: BackboneSpec) -> None:
    network = Network(acme, WeightsSource("none"), HeadDesign(), code.Net(), Head(("fc",)))
    message = "acme/net cannot process an image of 3x16x16: AttributeError: .*"
    assert refused(lambda: try_network(network, 2, torch.device("cpu")), message, "__init__.py", 26)


def test_the_line_of_the_plugin_that_cannot_find_the_head_or_the_blocks_is_named(
    code: ModuleType, acme: BackboneSpec
) -> None:
    model, head = acme.build(None), Head(("classifier.3",))
    reason = "IndexError: list index out of range"
    spec = replace(acme, head=code.find, classifier=None)
    assert refused(lambda: get_head(spec, model), f"acme/net cannot find its head: {reason}", "__init__.py", 16)
    blocks = replace(acme, blocks=code.find)
    message = f"acme/net cannot find its blocks: {reason}"
    assert refused(lambda: list_blocks(blocks, model, head), message, "__init__.py", 16)


def test_the_line_of_the_plugin_that_cannot_convert_a_file_is_named(code: ModuleType, published: BackboneSpec) -> None:
    source = WeightsSource("ONE", "ONE", weights=published.weights[0])

    def load(convert: Callable[..., object]) -> list[str]:
        spec = replace(published, convert=convert)  # type: ignore[arg-type]  # its results are wrong
        model: nn.Module = published.build(None)
        return load_tensors(spec, model, source, {"other": torch.ones(1)})

    message = "acme/net cannot convert the tensors of ONE: KeyError: 'otherx'"
    assert refused(lambda: load(code.convert), message, "__init__.py", 19)
    with pytest.raises(PluginError, match=r"convert\(\) \(.*__init__.py:21\) of acme/net must return a mapping"):
        load(code.forget)
