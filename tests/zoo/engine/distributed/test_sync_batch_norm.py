"""Batch norms whose statistics are synchronized, and those that are left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from worlds import get_results
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.sync_batch_norm import SyncedBatchNorm

#: The images of each process.
SLICES = (slice(0, 5), slice(5, 7))


class Own(nn.BatchNorm2d):
    """A third-party batch norm that contains an activation."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        normalized = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=self.training
        )
        return normalized.relu()


def make_images() -> Tensor:
    """Generate images whose mean is large compared to their variance.

    They are float64, because gradients of such images are ill-conditioned, and CPUs round float32 differently.
    """
    return 10 + torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def run_backward(model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Run a forward and a backward pass; return the outputs, all gradients and the statistics."""
    images = images.clone().requires_grad_()
    outputs: Tensor = model(images)
    (outputs.square() * torch.arange(1.0, 17).view(4, 4)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return {"outputs": outputs.detach(), "images": images.grad, "weights": gradients, "norms": dict(model.state_dict())}


def build(kind: type[nn.Module]) -> nn.Module:
    """Build a network whose running statistics are those of such images."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 1), kind(2)).double()
    for _ in range(20):
        model(make_images())
    model.zero_grad()
    return model


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, Own])
def test_batch_norms_use_the_statistics_of_all_processes(kind: type[nn.Module]) -> None:
    def work(rank: int) -> dict[str, Any]:
        model = build(kind)
        with join_world(), SyncedBatchNorm():
            return run_backward(model, make_images()[SLICES[rank]])

    first, second = get_results(2, work)
    wanted = run_backward(build(kind), make_images())
    found = {
        "outputs": torch.cat([first["outputs"], second["outputs"]]),
        "images": torch.cat([first["images"], second["images"]]),
        "weights": [one + other for one, other in zip(first["weights"], second["weights"], strict=True)],
        "norms": first["norms"],
    }
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(first["norms"], second["norms"], rtol=0, atol=0)


def test_a_batch_norm_in_eval_mode_keeps_its_statistics() -> None:
    def work(rank: int) -> tuple[Tensor, Tensor]:
        model = build(nn.BatchNorm2d).eval()
        with join_world(), SyncedBatchNorm():
            return model(make_images()[SLICES[rank]]).detach(), model.state_dict()["1.running_mean"]

    model = build(nn.BatchNorm2d).eval()
    for rank, (outputs, mean) in enumerate(get_results(2, work)):
        torch.testing.assert_close(outputs, model(make_images()[SLICES[rank]]))
        torch.testing.assert_close(mean, model.state_dict()["1.running_mean"], rtol=0, atol=0)
