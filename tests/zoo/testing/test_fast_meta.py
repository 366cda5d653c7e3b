from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.models.parameter_order import FirstUses
from zoo.testing.fast_meta import ANSWERS, ShapesAlone


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


X = draw(2, 6, 5, 4)
LAST = X.contiguous(memory_format=torch.channels_last)
SIX, FOUR = draw(6), draw(4)

LEGAL: dict[str, Callable[[], Tensor]] = {
    "batch norm": lambda: functional.batch_norm(X, SIX, SIX, SIX, SIX),
    "batch norm of channels last": lambda: functional.batch_norm(LAST, SIX, SIX),
    "batch norm in training": lambda: functional.batch_norm(X, None, None, training=True),
    "layer norm": lambda: functional.layer_norm(X, (4,), FOUR, FOUR),
    "layer norm of two sides": lambda: functional.layer_norm(X, (5, 4)),
    "layer norm of what is permuted": lambda: functional.layer_norm(X.transpose(1, 2), [4]),
    "linear": lambda: functional.linear(X, draw(7, 4), draw(7)),
    "linear without a bias": lambda: functional.linear(draw(2, 4), draw(7, 4)),
    "relu": lambda: functional.relu(LAST),
    "relu in place": lambda: functional.relu(X, inplace=True),
    "relu of integers": lambda: functional.relu(X.long()),
    "gelu": lambda: functional.gelu(X, approximate="tanh"),
    "silu": lambda: functional.silu(X),
    "hardtanh": lambda: functional.relu6(X),
    "linear of another dtype": lambda: functional.linear(X, draw(7, 4, dtype=torch.bfloat16)),
    "gelu of integers": lambda: functional.gelu(X.long()),
    "sum": lambda: X + X,
    "sum of two layouts": lambda: X + LAST,
    "sum of two shapes": lambda: X + FOUR,
    "sum of two dtypes": lambda: X.bfloat16() + X,
    "sum with a number": lambda: torch.add(X, 1),
    "sum of parts": lambda: torch.add(X, X, alpha=0.5),
    "sum into another": lambda: torch.add(X, X, out=draw(2, 6, 5, 4)),
    "product": lambda: X.mul(X),
    "product, given by name": lambda: torch.mul(X, other=X),
}
ILLEGAL: dict[str, Callable[[], Tensor]] = {
    "batch norm of other channels": lambda: functional.batch_norm(X, FOUR, FOUR),
    "batch norm of one value": lambda: functional.batch_norm(draw(1, 6, 1, 1), None, None, training=True),
    "layer norm of another width": lambda: functional.layer_norm(X, (6,), SIX),
    "layer norm with another bias": lambda: functional.layer_norm(X, (4,), FOUR, SIX),
    "linear of another width": lambda: functional.linear(X, draw(7, 5)),
    "linear with another bias": lambda: functional.linear(X, draw(7, 4), FOUR),
    "sum of shapes that do not fit": lambda: X + SIX,
}


@pytest.mark.parametrize("call", LEGAL.values(), ids=LEGAL)
@torch.no_grad()
def test_answers_are_torch_s_own(call: Callable[[], Tensor]) -> None:
    wanted = call()
    with ShapesAlone():
        found = call()
    assert (found.shape, found.stride(), found.dtype, found.device) == (
        wanted.shape,
        wanted.stride(),
        wanted.dtype,
        wanted.device,
    )


@pytest.mark.parametrize("call", ILLEGAL.values(), ids=ILLEGAL)
@torch.no_grad()
def test_errors_are_torch_s_own(call: Callable[[], Tensor]) -> None:
    with pytest.raises((RuntimeError, ValueError)) as wanted:
        call()
    with ShapesAlone(), pytest.raises(wanted.type) as found:
        call()
    assert str(found.value) == str(wanted.value)


@torch.no_grad()
def test_every_function_that_is_answered_is_answered_once_at_least() -> None:
    asked = set()

    class Listening(ShapesAlone):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            answer = ANSWERS.get(func)
            if answer and answer(*args, **(kwargs or {})) is not None:
                asked.add(answer)
            return super().__torch_function__(func, types, args, kwargs)

    with Listening():
        for call in LEGAL.values():
            call()
    assert asked == set(ANSWERS.values())


def test_gradients_that_are_asked_for_are_torch_s_own() -> None:
    layer = nn.Linear(4, 3, device="meta")
    with ShapesAlone():
        assert layer(X).requires_grad
        assert functional.relu(layer(X)).grad_fn is not None


def test_values_are_computed_as_ever() -> None:
    images = torch.randn(2, 3, 4, 4)
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    with torch.no_grad():
        wanted = model.eval()(images)
        with ShapesAlone():
            assert torch.equal(model(images), wanted)
            assert torch.ones(2).fill_(3).tolist() == [3, 3]


def test_initialising_runs_no_kernel_and_keeps_the_parameter() -> None:
    class Ran(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            ran.append(func)
            return func(*args, **(kwargs or {}))

    ran: list[Any] = []
    weight = nn.Parameter(draw(4, 4))
    calls: list[Callable[[], Tensor]] = [
        lambda: nn.init.trunc_normal_(weight),
        lambda: nn.init.normal_(weight, std=0.02),
        lambda: nn.init.uniform_(weight),
        lambda: nn.init.constant_(weight, 1.0),
        lambda: weight.clamp_(0, 1),
    ]
    with torch.no_grad(), ShapesAlone(), Ran():
        assert all(call() is weight for call in calls)
        assert ran == []
        weight.abs()
        assert ran


def test_what_sets_values_from_another_tensor_is_torch_s_own() -> None:
    with ShapesAlone(), torch.no_grad(), pytest.raises(RuntimeError, match="shape"):
        draw(4).add_(draw(5, 4))


def test_uses_of_parameters_are_seen_inside() -> None:
    model = nn.Sequential(nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(120, 2)).to("meta").eval()
    uses = FirstUses(model.parameters())
    with torch.no_grad(), ShapesAlone(), uses:
        model(X)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert [names[key] for key in uses.order] == ["0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias"]
