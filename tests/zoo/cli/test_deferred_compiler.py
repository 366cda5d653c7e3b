"""A command imports torch's compiler only if something uses it. Each test runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PRELUDE = """
import inspect, sys
import torch
from zoo.cli.deferred_compiler import defer_compiler

defer_compiler()
deferred = sys.modules["torch._dynamo"]

def is_imported():
    return "torch._dynamo.eval_frame" in sys.modules

def train():
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    return model.weight.detach().clone()
"""


def run(code: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRELUDE + code], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr


def test_training_does_not_import_the_compiler_and_gives_the_same_weights() -> None:
    run("""
found = train()
assert not is_imported()
import torch._dynamo.exc
assert is_imported() and sys.modules["torch._dynamo"] is not deferred
assert torch.equal(train(), found)
""")


@pytest.mark.breadth
def test_torchvision_does_not_import_the_compiler() -> None:
    run("""
import torchvision
from torchvision.ops.roi_align import is_compile_supported
assert not is_imported() and "sympy" not in sys.modules
found = is_compile_supported("cpu")
assert is_imported()
assert found == torch._dynamo.utils.is_compile_supported("cpu")
""")


@pytest.mark.breadth
def test_reading_any_other_name_imports_the_compiler() -> None:
    run("""
assert torch._dynamo.config.suppress_errors is False
assert is_imported()
""")


@pytest.mark.breadth
def test_looking_at_all_modules_does_not_import_the_compiler() -> None:
    run("""
inspect.getmodule(inspect.currentframe())
assert inspect.getsourcefile(deferred).endswith("__init__.py")
assert not is_imported()
""")


@pytest.mark.breadth
def test_no_module_of_the_compiler_is_imported_twice() -> None:
    run("""
import torch._dynamo.config as config
config.suppress_errors = True
assert torch._dynamo.config is config and torch._dynamo.config.suppress_errors
assert config.__spec__.origin.endswith("config.py")
""")
    run("""
import torch.export
import torch._dynamo.exc as exc
assert torch._dynamo.exc is exc is sys.modules["torch._dynamo.exc"]
from torch._dynamo.convert_frame import exc as used
assert used is exc
""")
    run("""
assert torch.compile(lambda values: values + 1, backend="eager")(torch.zeros(1)).item() == 1
import torch._dynamo.backends.registry as registry
assert "eager" in registry.list_backends(())
""")


@pytest.mark.breadth
def test_modules_functions_and_decorators_are_disabled_as_usual() -> None:
    run("""
layer = torch.compiler.disable(torch.nn.Linear(2, 3))
assert isinstance(layer, torch.nn.Module) and len(layer.state_dict()) == 2
""")
    run("""
@torch.compiler.disable(recursive=False)
def one():
    return 1

assert one() == 1
""")
    run("""
@torch.compiler.disable
def two(value: int) -> int:
    "Return it."
    return value

assert not is_imported()
assert (two.__name__, two.__doc__, two(2)) == ("two", "Return it.", 2)
assert list(inspect.signature(two).parameters) == ["value"]
""")


@pytest.mark.breadth
def test_what_was_disabled_before_the_compiler_was_imported_is_never_compiled() -> None:
    run("""
@torch._disable_dynamo
def disabled(values):
    return values + 1

assert disabled(torch.zeros(1)).item() == 1
assert not is_imported()
compiled = torch.compile(lambda values: disabled(values) * 2, backend="eager", fullgraph=True)
try:
    compiled(torch.zeros(1))
except torch._dynamo.exc.Unsupported as error:
    assert "disabled" in str(error)
else:
    raise AssertionError("it was compiled")
assert torch.compile(lambda values: disabled(values) * 2, backend="eager")(torch.zeros(1)).item() == 2
""")


@pytest.mark.breadth
def test_disabled_functions_run_while_another_thread_imports_the_compiler() -> None:
    run("""
@torch.compiler.disable
def one():
    return 1

sys.modules["torch._dynamo"] = type(sys)("torch._dynamo")  # as at the start of the import
assert one() == 1
""")


@pytest.mark.breadth
def test_a_compiler_that_was_imported_before_stays() -> None:
    run("""
import torch._dynamo.exc
real = sys.modules["torch._dynamo"]
defer_compiler()
assert sys.modules["torch._dynamo"] is real
""")
