"""Batch norms of several processes: what they share, and that nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from worlds import in_world
from zoo.engine.distributed.process_group import join_world
from zoo.engine.distributed.sync_batch_norm import SharedNorms

#: Images of the first and of the second process; a third has none.
SHARES = (slice(0, 5), slice(5, 7), slice(7, 7))


class Own(nn.BatchNorm2d):
    """A batch norm of somebody else's, which does more than torch's."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        normalised = functional.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, training=self.training
        )
        return normalised.relu()


def draw() -> Tensor:
    """Draw images whose mean is far from zero, beside which their variance is small.

    In float64: gradients of such images are ill-conditioned, and processors round float32 differently.
    """
    return 10 + torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def learn(model: nn.Module, images: Tensor) -> dict[str, Any]:
    """Return what comes out, what comes back, and what was learned of the images."""
    images = images.clone().requires_grad_()
    outputs: Tensor = model(images)
    (outputs.square() * torch.arange(1.0, 17).view(4, 4)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return {"outputs": outputs.detach(), "images": images.grad, "weights": gradients, "norms": dict(model.state_dict())}


def build(kind: type[nn.Module]) -> nn.Module:
    """Build a network that has seen such images before."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 2, 1), kind(2)).double()
    for _ in range(20):
        model(draw())
    model.zero_grad()
    return model


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, Own])
def test_batch_norms_of_several_processes_see_the_images_of_all(kind: type[nn.Module]) -> None:
    def work(rank: int) -> dict[str, Any]:
        with join_world() as world:
            norms, model = SharedNorms(world), build(kind)
            with norms.among(2):
                return learn(model, draw()[SHARES[rank]]) if rank < 2 else {}

    first, second, _ = (ended.result for ended in in_world(3, work))
    wanted = learn(build(kind), draw())
    found = {
        "outputs": torch.cat([first["outputs"], second["outputs"]]),
        "images": torch.cat([first["images"], second["images"]]),
        "weights": [one + other for one, other in zip(first["weights"], second["weights"], strict=True)],
        "norms": first["norms"],
    }
    torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(first["norms"], second["norms"], rtol=0, atol=0)


def test_what_does_not_learn_keeps_its_statistics() -> None:
    def work(rank: int) -> tuple[Tensor, Tensor]:
        with join_world() as world:
            model = build(nn.BatchNorm2d).eval()
            with SharedNorms(world).among(2):
                return model(draw()[SHARES[rank]]).detach(), model.state_dict()["1.running_mean"]

    model = build(nn.BatchNorm2d).eval()
    for rank, ended in enumerate(in_world(2, work)):
        torch.testing.assert_close(ended.result[0], model(draw()[SHARES[rank]]))
        torch.testing.assert_close(ended.result[1], model.state_dict()["1.running_mean"], rtol=0, atol=0)
