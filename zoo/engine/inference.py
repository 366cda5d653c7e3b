"""Run a model on images without labels. An image that cannot be read has a reason instead of a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zoo.data.bit_depth import report_bits
from zoo.data.decode import quiet_pillow
from zoo.data.transform import Transform
from zoo.data.unlabeled import Unlabeled
from zoo.data.unlabeled_batches import ReadImage, UnlabeledBatches
from zoo.engine.device import Hardware, allowing_tf32, plan_loading
from zoo.progress import Progress

#: Default number of images per batch.
BATCH = 32

#: An image, and its row of the model's output on the CPU or the reason why there is none.
Result = tuple[Unlabeled, Tensor | str]


@dataclass(frozen=True)
class Inference:
    """A model's computation, and the preprocessing of its input."""

    transform: Transform
    hardware: Hardware
    #: Function from normalized images (N, C, H, W) on the device to values of shape (N, width). If the transform makes
    #: views, its input contains the views of all images of the batch, (N * views, C, H, W).
    compute: Callable[[Tensor], Tensor]
    #: Number of images per batch.
    batch_size: int = BATCH

    def run(self, images: Sequence[Unlabeled], progress: Progress, *, ahead: bool) -> Iterator[Result]:
        """Yield the result of each image, in order.

        Args:
            images: Images and files that are left out.
            progress: Receives messages about the scale of 16-bit images after the last result.
            ahead: Whether to load batches ahead if there is a GPU. Threads then decode while the caller has control,
                so this requires `quiet_pillow` around all results.
        """
        loading = plan_loading(self.hardware, self.batch_size)
        batches = iter(UnlabeledBatches(images, self.transform, loading if ahead else replace(loading, ahead=0)))
        peaks: list[int] = []
        for first in range(0, len(images), self.batch_size):
            with quiet_pillow():  # not around the yield
                read = next(batches)
            found = [item for item in read if isinstance(item, ReadImage)]
            peaks += [item.peak for item in found if item.peak]
            rows = iter(self._compute(found) if found else ())
            for image, item in zip(images[first : first + self.batch_size], read, strict=True):
                yield image, item if isinstance(item, str) else next(rows)
        report_bits(peaks, self.transform.bits, progress)

    @torch.inference_mode()
    def _compute(self, found: Sequence[ReadImage]) -> Tensor:
        pixels = torch.stack([item.pixels for item in found]).flatten(end_dim=-4)
        placed = pixels.to(self.hardware.device, memory_format=torch.channels_last, non_blocking=True)
        with self.hardware.autocast(), allowing_tf32(self.hardware):
            return self.compute(self.transform.normalize(placed)).float().cpu()
