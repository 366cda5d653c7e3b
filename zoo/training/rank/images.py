"""The images on which candidates are ranked: the same images, in the same folds, for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from zoo.data.bit_depth import choose_bits
from zoo.data.channels import RGB
from zoo.data.dataset import Images, report_left_out
from zoo.data.examination.check import Examined, examine_listing
from zoo.data.examination.clusters import find_clusters
from zoo.data.listing import ImageFile, Listing
from zoo.data.source import list_images, name_source
from zoo.data.units import rank_digest
from zoo.errors import DataError
from zoo.progress import Progress
from zoo.registry.recipe import Recipe
from zoo.registry.registry import Registry
from zoo.training.image_features import pool_splits
from zoo.training.probe_folds import divide

#: Number of images of each class that come first when some of the images are chosen.
_FIRST = 5


@dataclass(frozen=True)
class RankImages:
    """The images of train and val, and their folds."""

    #: All images, in train.
    images: Images
    #: Labels and folds of the images, of shape (N,).
    labels: Tensor
    folds: Tensor
    #: Number of bits that 16-bit images use.
    bits: int | None

    def describe(self) -> dict[str, Any]:
        """Return everything that determines a score, apart from the candidate."""
        digests = [sample.digest.hex() for sample in self.images.train]
        return {"images": digests, "labels": self.labels.tolist(), "folds": self.folds.tolist()}


def open_rank_images(
    data: Any, recipe: Recipe, most: int, *, registry: Registry, progress: Progress
) -> RankImages:  # fmt: skip
    """List and decode the images of train and val, and divide them into folds. Test images are never used.

    Args:
        data: Data set, as for `zoo.finetune`.
        recipe: How the images are found, and the seed of the folds.
        most: Maximum number of images; more than that only if a class would have fewer than two.
        registry: Where to look up data sets.
        progress: Where to report progress.

    Raises:
        DataError: If there are not at least two classes, each with at least two different images.
    """
    listing = list_images(data, recipe.data_options, registry=registry, progress=progress)
    files = [file for file in listing.files if file.split != "test"]
    classes = sorted({file.class_name for file in files})
    if len(classes) < 2:
        found = f"only the class {classes[0]!r}" if classes else "no images"
        raise DataError(f"backbones can be ranked only if there are at least two classes, but the data has {found}.")
    chosen = choose_images(files, max(most, 2 * len(classes)), recipe.seed)
    if len(chosen) < len(files):
        progress.say(f"note: ranking on {len(chosen):,} of {len(files):,} images; see `max_images`")
    return _open(replace(listing, files=tuple(chosen)), name_source(data), recipe, progress)


def _open(listing: Listing, origin: str, recipe: Recipe, progress: Progress) -> RankImages:
    examined: Examined = examine_listing(listing, origin, progress=progress, channels=recipe.channels or RGB)
    report_left_out(examined.unreadable, progress)
    images = pool_splits(examined)
    samples, bits = images.train, choose_bits(images.train, examined.traits, progress, recipe.channels or RGB)
    divided = divide(samples, find_clusters(samples, examined.traits), recipe.seed)
    number, count = len(divided.classes), divided.count
    progress.say(f"{origin} -> {len(samples):,} images of {number} classes, {count}-fold cross-validation")
    return RankImages(images, divided.labels, divided.folds, bits)


def choose_images(files: Sequence[ImageFile], count: int, seed: int) -> list[ImageFile]:
    """Return some of the files in their order: a few of each class, then the same fraction of each class.

    The names of the files and the seed determine the choice.
    """
    if len(files) <= count:
        return list(files)
    chosen = sorted(_rank_files(files, seed))[:count]
    return [files[index] for index in sorted(index for *_, index in chosen)]


def _rank_files(files: Sequence[ImageFile], seed: int) -> Iterator[tuple[int, float, int]]:
    of_class: defaultdict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        of_class[file.class_name].append(index)
    for indices in of_class.values():
        names = {index: files[index].name.encode("utf-8", "surrogatepass") for index in indices}
        indices.sort(key=lambda index: (rank_digest(names[index], seed), index))
        for place, index in enumerate(indices):
            yield min(place, _FIRST), (place + 0.5) / len(indices), index
