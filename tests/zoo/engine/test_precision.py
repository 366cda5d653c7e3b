from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.engine.device import Hardware
from zoo.engine.precision import can_measure, choose_precision, measure_precisions

CPU = Hardware(torch.device("cpu"), "fp32")


class Timed:
    """Stands for the clock: what each pass takes, and which passes there were."""

    figures: list[float]
    passes: list[tuple[int, str]]

    def __init__(self) -> None:
        self.figures, self.passes = [], []

    def time(self, _model: nn.Module, images: torch.Tensor, hardware: Hardware) -> float:
        self.passes.append((len(images), hardware.precision))
        return self.figures[len(self.passes) - 1]


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> Timed:
    timed = Timed()
    monkeypatch.setattr("zoo.engine.precision._time", timed.time)
    return timed


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"), [(1.0, 0.5, "bf16"), (1.0, 0.9, "fp32"), (1.0, 2.0, "fp32"), (0.0, 0.0, "fp32")]
)
def test_bf16_must_be_clearly_faster(fp32: float, bf16: float, chosen: str) -> None:
    assert choose_precision({"fp32": fp32, "bf16": bf16}) == chosen


@pytest.mark.parametrize("backwards", [True, False])
def test_measuring_leaves_the_model_and_random_numbers_as_they_were(*, backwards: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 2))
    model[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    seconds = measure_precisions(model, (3, 8, 8), CPU, backwards=backwards)
    assert seconds.keys() == {"fp32", "bf16"}
    assert all(value > 0 for value in seconds.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model] == [True, False, True, True, True]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("backwards", [True, False])
def test_what_is_timed_is_what_will_be_done(*, backwards: bool) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 2))
    asked = []
    model.register_forward_hook(lambda _model, _inputs, logits: asked.append((len(logits), logits.requires_grad)))
    measure_precisions(model, (3, 8, 8), CPU, backwards=backwards)
    assert {wants for _, wants in asked} == {backwards}


@pytest.mark.parametrize(
    ("passes", "seconds"),
    [
        # In turns fp32, bf16; the first one warms up.
        ([(1.0, 0.5), (1.0, 0.5)], (1.0, 0.5)),
        ([(1.0, 3.0), (1.0, 0.6)], (1.0, 0.6)),
        ([(1.0, 0.5), (1.0, 0.7), (0.9, 0.5)], (0.9, 0.5)),
        ([(1.0, 0.5), (1.0, 0.7), (1.0, 0.8), (0.9, 0.9)], (0.9, 0.7)),
        # What speaks against it may be what else the machine does.
        ([(1.0, 2.0), (1.0, 2.0), (1.0, 2.0), (1.0, 1.9)], (1.0, 1.9)),
    ],
)
def test_it_is_measured_until_it_is_clear(
    timed: Timed, passes: list[tuple[float, float]], seconds: tuple[float, float]
) -> None:
    timed.figures = [1.1, *(figure for turn in passes for figure in turn)]
    found = measure_precisions(nn.Linear(2, 2), (3, 8, 8), CPU, backwards=False)
    assert (found["fp32"], found["bf16"]) == seconds
    assert timed.passes == [(2, "fp32"), *([(2, "fp32"), (2, "bf16")] * len(passes))]


@pytest.mark.parametrize(
    ("first", "count"),
    [
        ([1.1], 2),  # so long that a second pass would tell nothing more
        ([0.9, 0.9], 2),
        ([0.9, 0.1], 4),
        ([0.9, 0.001], 8),
    ],
)
def test_a_pass_is_timed_on_as_many_images_as_take_a_moment(timed: Timed, first: list[float], count: int) -> None:
    timed.figures = [*first, 1.0, 0.5, 1.0, 0.5]
    measure_precisions(nn.Linear(2, 2), (3, 8, 8), CPU, backwards=False)
    assert timed.passes == [*([(2, "fp32")] * len(first)), *([(count, "fp32"), (count, "bf16")] * 2)]


def test_only_a_processor_that_computes_in_bf16_is_measured() -> None:
    assert can_measure(CPU) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert not can_measure(Hardware(torch.device("mps"), "fp32"))
    assert not can_measure(Hardware(torch.device("cuda"), "bf16"))
