"""Divide images into folds for cross-validation. The seed and the content determine the fold of each image.

The folds are stratified: each fold gets about the same number of images of each class. Copies of an image are in one
fold, and so are the images of one group.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING

from zoo.data.collector import pausing_collector
from zoo.data.listing import show_names
from zoo.data.sample import Sample
from zoo.data.units import Labeled, choose_key, join_units, rank_digest
from zoo.errors import DataError, OptionError

if TYPE_CHECKING:
    from zoo.registry.fold import Fold


def assign_folds(
    samples: Sequence[Sample], count: int, *, seed: int, clusters: Mapping[bytes, bytes] = MappingProxyType({})
) -> list[int]:
    """Return the fold of each image, from 0 to ``count - 1``.

    If all images differ and have no groups, the folds differ by at most one image in each class, and by at most one
    image in total. Otherwise, copies and groups are placed largest first, each in the fold that has the smallest part
    of its classes. The result does not depend on the order of the images. Copies of images that were not examined are
    not recognized.

    Args:
        samples: Images of all folds.
        count: Number of folds, at least 2.
        seed: Seed of the assignment.
        clusters: Clusters of near copies, which are placed like copies; see `zoo.data.examination.clusters`.

    Raises:
        DataError: If a class has fewer distinct images than folds, there are fewer groups than folds, or all images
            of a class would be in one fold.
        OptionError: If ``count`` is below 2.
    """
    if count < 2:
        raise OptionError(f"`folds` must be at least 2, got {count}.")
    images = [Labeled(sample.file.class_name, choose_key(sample, clusters), sample.file.group) for sample in samples]
    units = join_units(images)
    _require_enough(images, len(units), count)
    places = _place(units, count, seed)
    folds = [places[image.digest] for image in images]
    _require_two_folds(images, folds)
    return folds


@pausing_collector()
def hold_out(
    images: Sequence[Sample], fold: Fold, seed: int, clusters: Mapping[bytes, bytes] = MappingProxyType({})
) -> list[Sample]:
    """Move the images of a fold of train and val to val, and the others to train. Test images do not change.

    Raises:
        DataError: As for `assign_folds`.
    """
    pooled = [image for image in images if image.file.split != "test"]
    pooled.sort(key=attrgetter("file.class_name", "file.name"))
    indices = assign_folds(pooled, fold.count, seed=seed, clusters=clusters)
    placed = [
        replace(image, file=replace(image.file, split="val" if index == fold.number - 1 else "train"))
        for image, index in zip(pooled, indices, strict=True)
    ]
    return [*placed, *(image for image in images if image.file.split == "test")]


def _require_enough(images: Sequence[Labeled], num_units: int, count: int) -> None:
    """Raise an error if some fold would certainly be empty or lack a class."""
    digests: defaultdict[str, set[bytes]] = defaultdict(set)
    for image in images:
        digests[image.class_name].add(image.digest)
    small = sorted((len(found), name) for name, found in digests.items() if len(found) < count)
    if small:
        number, name = small[0]
        different = "1 different image" if number == 1 else f"{number} different images"
        hint = f"use at most {number} folds, or add images" if number > 1 else "add images"
        raise DataError(
            f"{count} folds need at least {count} images of each class, but {name!r} has {different}; {hint}."
        )
    if num_units < count:
        found = "there is 1" if num_units == 1 else f"there are {num_units}"
        hint = f"use at most {num_units} folds, or provide more groups" if num_units > 1 else "provide more groups"
        raise DataError(
            f"{count} folds need at least {count} groups of images, but {found}. A group is never divided; {hint}."
        )


def _place(units: Sequence[Sequence[Labeled]], count: int, seed: int) -> dict[bytes, int]:
    """Return the fold of each digest. Units are placed largest first, class by class."""
    totals = Counter(image.class_name for unit in units for image in unit)
    counted = [(Counter(image.class_name for image in unit), unit) for unit in units]
    counted.sort(key=lambda pair: (-len(pair[1]), min(pair[0]), rank_digest(min(one.digest for one in pair[1]), seed)))
    folds = [Counter[str]() for _ in range(count)]
    places: dict[bytes, int] = {}
    for classes, unit in counted:
        # This fold increases the sum of squares of all fractions of classes in folds least. fsum() does not depend on
        # the order of the classes.
        place = min(
            range(count),
            key=lambda fold: (
                math.fsum(number * folds[fold][name] / totals[name] ** 2 for name, number in classes.items()),
                folds[fold].total(),
                fold,
            ),
        )
        folds[place] += classes
        places.update((image.digest, place) for image in unit)
    return places


def _require_two_folds(images: Sequence[Labeled], folds: Sequence[int]) -> None:
    """Raise an error if a class is in a single fold, because the other folds could not train on it."""
    found: defaultdict[str, set[int]] = defaultdict(set)
    for image, fold in zip(images, folds, strict=True):
        found[image.class_name].add(fold)
    if lonely := sorted(name for name, places in found.items() if len(places) < 2):
        raise DataError(
            f"all images of these classes would be in one fold, so the other folds could not train on them: "
            f"{show_names(lonely)}. A group is never divided; provide more groups."
        )
