"""Single steps on the device: frozen parameters, non-finite values, and running out of memory."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from learners import build_wide, copy_state, generate_batch, make_learner
from recording_progress import RecordingProgress
from zoo.engine.device import Hardware, allowing_tf32
from zoo.engine.step import learn
from zoo.errors import FrozenMoved, NotFinite
from zoo.models.freeze import Frozen

#: Number and size of images whose activations take several hundred MiB.
COUNT, SIZE = 64, 96


@contextmanager
def limit_memory(device: torch.device, room: int) -> Iterator[None]:
    """Let this process allocate only ``room`` more bytes on the device while the context is active."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + room) / total, device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, device)
        return
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_batch_that_does_not_fit_into_memory_is_split(device: torch.device, precision: str) -> None:
    hardware, progress = Hardware(device, precision), RecordingProgress()
    images, labels = generate_batch(device, COUNT, SIZE)
    wanted, model = build_wide(device), build_wide(device)
    with allowing_tf32(hardware):
        learn(make_learner(wanted, hardware), (images, labels), 0)
        learner = make_learner(model, hardware, progress.say)
        # The limit leaves room for two of the four largest activations of a full batch.
        width = 4 if precision == "fp32" else 2
        with limit_memory(device, 2 * COUNT * 32 * SIZE * SIZE * width):
            learn(learner, (images, labels), 0)
    assert learner.micro_batches.count > 1
    assert progress.lines[0].startswith("note: out of memory; splitting each batch into 2 micro-batches from now on")
    assert learner.steps == 1
    tolerance = 1e-4 if precision == "fp32" else 1e-2
    torch.testing.assert_close(copy_state(model), copy_state(wanted), rtol=0, atol=tolerance)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_step_with_a_non_finite_loss_changes_nothing(device: torch.device, precision: str, value: float) -> None:
    if precision == "fp16" and value == float("inf"):
        pytest.skip("the loss is finite, so with fp16 the scaler skips the step")
    hardware = Hardware(device, precision)
    model = build_wide(device)
    learner = make_learner(model, hardware)
    images, labels = generate_batch(device, 4, 16)
    before, invalid = copy_state(model), images.clone()
    invalid[1, 0, 3, 3] = value
    with pytest.raises(NotFinite):
        learn(learner, (invalid, labels), 0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in copy_state(model).items())
    learn(learner, (images, labels), 0)
    assert learner.steps == 1
    assert not torch.equal(copy_state(model)["0.weight"], before["0.weight"])


def test_fp16_skips_a_step_whose_gradients_overflow(device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("fp16 needs a GPU")
    model = build_wide(device)
    learner = make_learner(model, Hardware(device, "fp16"))
    images, labels = generate_batch(device, 4, 16)
    before, scale = copy_state(model), learner.scaler.get_scale()
    overflow = model[0].weight.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[index]
    learn(learner, (images, labels), 0)
    overflow.remove()
    assert learner.steps == 0
    assert learner.scaler.get_scale() < scale
    assert all(torch.equal(tensor, before[name]) for name, tensor in copy_state(model).items())
    learn(learner, (images, labels), 0)
    assert learner.steps == 1


def test_fp16_stops_if_no_scale_makes_the_gradients_finite(device: torch.device) -> None:
    if device.type == "cpu":
        pytest.skip("fp16 needs a GPU")
    model = build_wide(device)
    learner = make_learner(model, Hardware(device, "fp16"))
    images, labels = generate_batch(device, 4, 16)
    before = copy_state(model)
    model[0].weight.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[index]
    while learner.scaler.get_scale() >= 1:  # each step halves it
        learn(learner, (images, labels), 0)
    with pytest.raises(NotFinite):
        learn(learner, (images, labels), 0)
    assert learner.steps == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in copy_state(model).items())


def build_frozen(device: torch.device) -> tuple[nn.Module, Frozen]:
    model = build_wide(device)
    return model, Frozen(model, ("6",))


def test_the_hash_of_frozen_parameters_is_the_same_as_on_a_cpu(device: torch.device) -> None:
    (_, here), (_, there) = build_frozen(device), build_frozen(torch.device("cpu"))
    assert here.check(there.digest()) == there.digest()


def test_a_change_of_a_frozen_parameter_is_detected(device: torch.device) -> None:
    model, frozen = build_frozen(device)
    before = frozen.digest()
    with torch.no_grad():
        model.get_submodule("0").get_parameter("weight")[0, 0, 0, 0] += 1e-6
    with pytest.raises(FrozenMoved):
        frozen.check(before)
