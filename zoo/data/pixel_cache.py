"""Keep decoded images in memory, up to a budget."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.decode import decoded
from zoo.data.image_bytes import read_image
from zoo.data.transform import Transform, build_eval_transform, build_train_transform
from zoo.data.unexamined import identify
from zoo.errors import DataError
from zoo.files.limits import PIXEL_CACHE

if TYPE_CHECKING:
    from zoo.data.sample import Sample
    from zoo.plugin import InputSpec


class Unreadable(DataError):
    """Raised when an image that was not examined cannot be decoded."""


class Pixels:
    """The pixels of samples after a transform. Images that do not fit into memory are decoded each time they are used.

    This class is thread-safe.
    """

    def __init__(self, transform: Transform, budget: int | None = None) -> None:
        self.normalize = transform.normalize
        self._reduce = transform.reduce
        self._crop = transform.crop
        #: Number of bits that 16-bit images use, as in `decode_image`.
        self.bits = transform.bits
        #: Number of channels of the input, as in `decode_image`.
        self.channels = transform.channels
        self._left = choose_budget() if budget is None else budget
        self._kept: dict[bytes, Tensor] = {}
        self._lock = Lock()
        #: Images that were not examined and turned out to be unreadable, with the reasons.
        self.unreadable: dict[Path, str] = {}

    def offer(self, digest: bytes, decoded: Tensor) -> None:
        """Keep the reduced pixels of a decoded image if they fit."""
        if self._left > 0 and digest not in self._kept:
            self._keep(digest, self._reduce(decoded))

    def get(self, sample: Sample, seed: int | None = None) -> Tensor:
        """Return the pixels of a sample before normalization, uint8 of shape (C, height, width); do not modify them.

        Without a seed, the random step of the transform is skipped.

        Raises:
            Unreadable: If the image was not examined and cannot be decoded. This is recorded.
            DataError: If the image must be decoded again and can no longer be read.
        """
        reduced = self._kept.get(sample.digest)
        if reduced is None:
            try:
                with _decoded_again(sample, self.bits, self.channels) as pixels:
                    reduced = self._reduce(pixels)
            except Unreadable as error:
                self.unreadable[sample.path] = str(error)
                raise
            if self._left > 0:
                self._keep(sample.digest, reduced)
        if self._crop is None or seed is None:
            return reduced
        return self._crop(reduced, torch.Generator().manual_seed(seed))

    def _keep(self, digest: bytes, reduced: Tensor) -> None:
        with self._lock:
            if digest in self._kept:
                return
            if reduced.nbytes > self._left:
                self._left = 0  # From now on, `offer` skips the reduce step.
                return
            self._left -= reduced.nbytes
            self._kept[digest] = reduced.clone()  # A crop is a view that would keep the full image in memory.

    def stop_keeping(self) -> None:
        """Keep no more images than now. This also works in a forked process if a thread of its parent had the lock."""
        self._left = 0
        self._lock = Lock()

    def forget(self) -> None:
        """Free the memory. From now on, every image is decoded each time it is used."""
        with self._lock:
            self._kept.clear()
            self._left = 0


@dataclass(frozen=True)
class Views:
    """The pixels for training and for evaluation."""

    train: Pixels
    plain: Pixels

    @classmethod
    def build(cls, spec: InputSpec, augmentation: str, budget: int | None = None, erase: float = 0.0) -> Views:
        """Build both; without augmentation, training and evaluation share the same pixels.

        Raises:
            OptionError: If there is no augmentation of that name, or if it is not defined for the channels.
        """
        plain = Pixels(build_eval_transform(spec), budget)
        if augmentation == "none":
            return cls(plain, plain)
        return cls(Pixels(build_train_transform(spec, augmentation, erase), budget), plain)

    def use_bits(self, bits: int | None) -> None:
        """Set the number of bits that 16-bit images use, before any of them is kept."""
        self.train.bits = self.plain.bits = bits

    def list_unreadable(self) -> dict[Path, str]:
        """Return the images that turned out to be unreadable in this process, with the reasons."""
        return {**self.train.unreadable, **self.plain.unreadable}

    def forget(self) -> None:
        """Free the memory of both."""
        self.train.forget()
        self.plain.forget()

    def offer(self, split: str, digest: bytes, decoded: Tensor) -> None:
        """Keep a decoded image in the form that its split needs, if it fits into memory."""
        (self.train if split == "train" else self.plain).offer(digest, decoded)


@contextmanager
def _decoded_again(sample: Sample, bits: int | None, channels: int) -> Iterator[Tensor]:
    with ExitStack() as stack:
        try:
            data = _read_again(sample)
            try:
                image = stack.enter_context(decoded(data, bits, channels))
            except DataError as error:
                if sample.is_examined:
                    raise
                raise Unreadable(str(error)) from error
        except Unreadable:
            raise
        except DataError as error:
            state = "readable" if sample.is_examined else "there"
            raise DataError(
                f"cannot use the image {str(sample.path)!r}: {error}. "
                f"It was {state} when the run began; restore it and run again."
            ) from None
        yield image.pixels


def _read_again(sample: Sample) -> bytes:
    """Return the bytes of an image, which must not have changed."""
    data = read_image(sample.file)
    digest = hashlib.sha256(data).digest() if sample.is_examined else identify(sample.file)
    if digest != sample.digest:
        raise DataError("the file has changed")
    return data


def choose_budget(processes: int = 1) -> int:
    """Return the budget of a process in bytes: `PIXEL_CACHE`, or less if little memory is free.

    Together, the processes on this machine get at most a quarter of the free memory.

    Args:
        processes: Number of processes of the run on this machine.
    """
    if "SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", {}):  # Windows has no such names
        return PIXEL_CACHE.read()
    return min(PIXEL_CACHE.read(), os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (4 * processes))
