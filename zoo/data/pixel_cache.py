"""Images that were decoded once, kept in memory as far as it was given for them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.decode import decode_image, read_image_file
from zoo.data.transform import Transform, build_eval_transform, build_train_transform
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.sample import Sample
    from zoo.plugin import InputSpec

#: Bytes that one kind of pixels may take: about 1,900 photos as training sees them, or 7,000 as they are measured.
BUDGET = 2**30


class Pixels:
    """What a transform makes of samples, from memory or decoded anew where memory has run out. Threads may share it."""

    def __init__(self, transform: Transform, budget: int | None = None) -> None:
        self.normalise = transform.normalise
        self._reduce = transform.reduce
        self._crop = transform.crop
        self._left = choose_budget() if budget is None else budget
        self._kept: dict[str, Tensor] = {}
        self._lock = Lock()

    def offer(self, digest: str, decoded: Tensor) -> None:
        """Keep what an image comes to, if there is room."""
        if self._left > 0 and digest not in self._kept:
            self._keep(digest, self._reduce(decoded))

    def get(self, sample: Sample, seed: int | None = None) -> Tensor:
        """Return the pixels of a sample, uint8 of shape (3, height, width), not normalised yet; do not write to them.

        Without a seed nothing is random.

        Raises:
            DataError: it has to be decoded, and cannot be any more.
        """
        reduced = self._kept.get(sample.digest)
        if reduced is None:
            reduced = self._reduce(_decode_again(sample))
            self._keep(sample.digest, reduced)
        if self._crop is None or seed is None:
            return reduced
        return self._crop(reduced, torch.Generator().manual_seed(seed))

    def _keep(self, digest: str, reduced: Tensor) -> None:
        with self._lock:
            if digest in self._kept:
                return
            if reduced.nbytes > self._left:
                self._left = 0  # no more are worth preparing
                return
            self._left -= reduced.nbytes
            self._kept[digest] = reduced.clone()  # a crop would keep the whole image alive

    def forget(self) -> None:
        """Give the memory back; what is asked for again is decoded again."""
        with self._lock:
            self._kept.clear()
            self._left = 0


@dataclass(frozen=True)
class Views:
    """How images are seen: in training, and where they are measured."""

    train: Pixels
    plain: Pixels

    @classmethod
    def build(cls, spec: InputSpec, augmentation: str, budget: int | None = None, erase: float = 0.0) -> Views:
        """Build them; where training sees what is measured they are the same.

        Raises:
            DataError: the input has another number of channels than 3.
            OptionError: there is no such augmentation.
        """
        plain = Pixels(build_eval_transform(spec), budget)
        if augmentation == "none":
            return cls(plain, plain)
        return cls(Pixels(build_train_transform(spec, augmentation, erase), budget), plain)

    def offer(self, split: str, digest: str, decoded: Tensor) -> None:
        """Keep what an image of a split comes to as it will be seen, if there is room."""
        (self.train if split == "train" else self.plain).offer(digest, decoded)


def _decode_again(sample: Sample) -> Tensor:
    try:
        data = read_image_file(sample.path)
        if hashlib.sha256(data).hexdigest() != sample.digest:
            raise DataError("it has changed")
        return decode_image(data)
    except DataError as error:
        raise DataError(
            f"cannot use the image {str(sample.path)!r}: {error}. "
            "It could be read when the run began; restore it and run again."
        ) from None


def choose_budget(processes: int = 1) -> int:
    """Return the budget, or a quarter of the memory that is free where that is less and can be told.

    Of what is free each of so many processes on this machine has its part.
    """
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return BUDGET
    return min(BUDGET, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (4 * processes))
