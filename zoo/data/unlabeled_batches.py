"""Load batches of images without labels. An image that cannot be read becomes a reason and never ends the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.data.decode import Decoded, decoded
from zoo.data.decoding_threads import start_threads
from zoo.data.image_bytes import read_image
from zoo.data.listing import ImageFile, LeftOut
from zoo.data.load_ahead import load_ahead
from zoo.data.loader import LoaderOptions
from zoo.data.memory_images import MemoryImage
from zoo.data.sampler import plan_in_order
from zoo.data.web_images import WebImage
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.transform import Transform
    from zoo.data.unlabeled import Unlabeled


@dataclass(frozen=True, slots=True)
class ReadImage:
    """An image, ready for normalization."""

    #: uint8 of shape (C, height, width), or (views, C, height, width) if the transform makes views.
    pixels: Tensor
    #: Largest value of a 16-bit image, as in `zoo.data.decode.Decoded`.
    peak: int


class UnlabeledBatches:
    """Batches of images in order. Each item is an image, or the reason why there is none."""

    def __init__(self, images: Sequence[Unlabeled], transform: Transform, loading: LoaderOptions) -> None:
        self._images = images
        self._transform = transform
        self._loading = loading

    def __iter__(self) -> Iterator[list[ReadImage | str]]:
        plan = plan_in_order(range(len(self._images)), batch_size=self._loading.batch_size)
        if not self._loading.workers or len(self._images) == 1:
            yield from load_ahead(plan, partial(self._read, stopped=None), list, None, 0)
            return
        stopped = Event()
        pool = start_threads(self._loading.workers, "read")
        try:
            yield from load_ahead(plan, partial(self._read, stopped=stopped), list, pool, self._loading.ahead)
        finally:  # After Ctrl-C, nobody needs the images that a server has not sent yet, or the rest of the batch.
            stopped.set()
            pool.shutdown(cancel_futures=True)

    def _read(self, index: int, *, stopped: Event | None) -> ReadImage | str:
        image = self._images[index]
        if isinstance(image, LeftOut):
            return image.reason
        try:
            # Errors about an image's content omit its path, because the result already contains it.
            with _decoded(image, self._transform, stopped) as found:
                # A crop is a view that would keep the full image in memory.
                return ReadImage(self._transform.reduce(found.pixels).clone(), found.peak)
        except DataError as error:
            return str(error)


def _decoded(
    image: ImageFile | MemoryImage | WebImage, transform: Transform, stopped: Event | None
) -> AbstractContextManager[Decoded]:
    bits, channels = transform.bits, transform.channels
    if isinstance(image, WebImage):
        return image.decoded(bits, stopped, channels)
    return decoded(read_image(image), bits, channels) if isinstance(image, ImageFile) else image.decoded(bits, channels)
