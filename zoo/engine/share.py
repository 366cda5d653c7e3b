"""What a process has of a batch, and of which whole it is a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.engine.learner import Learner


@dataclass(frozen=True)
class Share:
    """A batch, or a process's share of one."""

    #: (N, C, H, W), or features (N, width); N may be 0.
    images: Tensor
    #: Labels of shape (N,), or shares of classes of shape (N, classes).
    targets: Tensor
    #: Labels of shape (N,): of mixed images, those that have the larger share.
    answers: Tensor
    #: What the mean loss of the whole batch is a mean over.
    whole: Tensor
    #: Images of the whole batch, and the processes that have some.
    count: int
    sharing: int = 1

    def split(self, learner: Learner) -> Iterator[tuple[Tensor, ...]]:
        """Yield the images, targets and answers that go through the network at a time."""
        if not len(self.targets):
            return iter(())
        # Where the processes compare their images they do so equally often.
        most = self.count // self.sharing if learner.norms else None
        return learner.parts.split(self.images, self.targets, self.answers, most=most)


def make_share(learner: Learner, images: Tensor, labels: Tensor) -> Share:
    """Mix the images, if they are to be, and find out what the other processes have.

    Raises:
        LostProcess: another process is gone.
    """
    world = learner.hardware.world
    targets = labels
    if len(labels):
        images, targets = learner.mix(images, labels)
    answers = targets if targets.ndim == 1 else targets.argmax(1)
    weight = learner.criterion.weigh(targets)
    if world.size == 1:
        return Share(images, targets, answers, weight, len(labels))
    whole, count, sharing = world.total([float(weight), len(labels), bool(len(labels))])
    return Share(images, targets, answers, torch.tensor(whole), int(count), int(sharing))
