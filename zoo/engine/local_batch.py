"""The part of a batch that one process trains on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.data.loader import Batch
from zoo.engine.learner import Learner
from zoo.errors import DataError


@dataclass(frozen=True)
class LocalBatch:
    """A batch, or one process's part of it."""

    #: Images of shape (N, C, H, W), or features of shape (N, width); labels of shape (N,); and any loss weights of
    #: shape (N,). N may be 0.
    batch: Batch
    #: Denominator of the mean loss over the global batch: the number of images, or the sum of their weights.
    total_weight: Tensor
    #: Number of images in the global batch.
    global_size: int
    #: Number of processes that have at least one image of the global batch.
    num_processes: int = 1

    @property
    def size(self) -> int:
        """Return N, the number of images in this process's part."""
        return len(self.batch[0])

    @property
    def max_local_size(self) -> int:
        """Return the number of images in the largest local batch of all processes."""
        return -(-self.global_size // self.num_processes)

    def split(self, learner: Learner) -> Iterator[tuple[bool, tuple[Tensor, ...]]]:
        """Mix the images if the recipe asks for it, and yield micro-batches.

        Yields:
            Whether the micro-batch is the last one, and a tuple of images, labels, targets and any loss weights.
            Targets are labels of shape (N,) or class probabilities of shape (N, classes). The label of a mixed image
            is its most probable class.
        """
        if not self.size:
            return
        images, targets, *loss_weights = learner.mix(*self.batch)
        labels = targets if targets.ndim == 1 else targets.argmax(1)
        # Processes that wait for each other in the forward pass must all use the same number of micro-batches.
        size = self.global_size // self.num_processes if learner.micro_batches.is_fixed else self.size
        micro_batches = [*learner.micro_batches.split(images, labels, targets, *loss_weights, size=size)]
        for index, micro_batch in enumerate(micro_batches, 1):
            yield index == len(micro_batches), micro_batch


def make_local_batch(learner: Learner, batch: Batch) -> LocalBatch:
    """Create this process's local batch. The processes exchange the sizes of their parts.

    Raises:
        PeerError: If another process has died.
        DataError: If a process has no images, although the processes wait for each other in the forward pass.
    """
    world = learner.hardware.world
    images, *targets = batch
    local_size, total_weight = len(images), learner.criterion.weigh(*targets)  # Mixing images does not change the sum.
    if world.size == 1:
        return LocalBatch(batch, total_weight, local_size)
    total, size, num_processes = world.sum_numbers([float(total_weight), local_size, bool(local_size)])
    if learner.micro_batches.is_fixed and num_processes < world.size:
        raise DataError(
            "none of the images in a process's part of a batch can be read; use a larger `batch_size`, or turn off "
            "`shard` and `sync_batch_norm`."
        )
    return LocalBatch(batch, torch.tensor(total), int(size), int(num_processes))
