"""Move some of the training images to validation and test. The seed and the content determine which ones.

The split is stratified: each class is divided in the same proportions. Copies of an image stay together, and so do
images in one group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from zoo.data.units import Labeled, join_units, rank_digest

#: Fraction of the training images that is used for validation if the user does not choose one.
VAL_FRACTION = 0.2


def choose_splits(images: Iterable[Labeled], fractions: Mapping[str, float], *, seed: int) -> dict[bytes, str]:
    """Choose the images that do not stay in train, and return their split by digest.

    From each class, the fraction of each split is chosen, rounded to a whole number of distinct images: at least one
    image for each split if the class has enough images, but never all of them. With groups, the proportions are only
    approximate, but every class keeps an image in train. An image in several classes stays in train, because its label
    is ambiguous. The choice depends only on content, classes, groups, ``fractions`` and ``seed``.

    Args:
        images: Images of the training split.
        fractions: Fraction of each class to choose, by split; the sum must be below 1.
        seed: Seed of the random choice.
    """
    images = list(images)
    if any(image.group for image in images):
        return _choose_groups(images, fractions, seed)
    classes: dict[bytes, str | None] = {}
    for image in images:
        if classes.setdefault(image.digest, image.class_name) != image.class_name:
            classes[image.digest] = None
    unambiguous: defaultdict[str, list[bytes]] = defaultdict(list)
    for digest, class_name in classes.items():
        if class_name is not None:
            unambiguous[class_name].append(digest)
    chosen = (_choose(digests, fractions, seed) for digests in unambiguous.values())
    return {digest: split for splits in chosen for digest, split in splits.items()}


def _choose(digests: Sequence[bytes], fractions: Mapping[str, float], seed: int) -> dict[bytes, str]:
    """Choose from the images of one class."""
    left = sorted(digests, key=lambda digest: rank_digest(digest, seed))
    chosen: dict[bytes, str] = {}
    for split, fraction in fractions.items():
        count = min(max(round(fraction * len(digests)), 1), len(left) - 1) if fraction else 0
        chosen.update(dict.fromkeys(left[:count], split))
        left = left[count:]
    return chosen


def _choose_groups(images: Sequence[Labeled], fractions: Mapping[str, float], seed: int) -> dict[bytes, str]:
    """Place whole groups, largest first, each in the split that needs its classes most."""
    units = join_units(images)
    totals = Counter(image.class_name for image in images)
    wanted = {"train": 1 - sum(fractions.values()), **fractions}
    lacking = {split: {name: wanted[split] * count for name, count in totals.items()} for split in wanted}
    members: dict[str, list[list[Labeled]]] = {split: [] for split, fraction in wanted.items() if fraction > 0}
    for unit in sorted(units, key=lambda unit: (-len(unit), rank_digest(min(image.digest for image in unit), seed))):
        counts = Counter(image.class_name for image in unit)
        split = max(
            members, key=lambda split: sum(n * lacking[split][name] / totals[name] for name, n in counts.items())
        )
        for name, count in counts.items():
            lacking[split][name] -= count
        members[split].append(unit)
    _fill_empty(members)
    _complete_train(members)
    return {image.digest: split for split in fractions for unit in members.get(split, ()) for image in unit}


def _fill_empty(members: Mapping[str, list[list[Labeled]]]) -> None:
    """Give each split without a group one from the split with the most groups, while there are enough groups.

    It is the smallest group that leaves no class of its split without images, or else the smallest one.
    """
    for units in members.values():
        giver = max(members.values(), key=len)
        if units or len(giver) < 2:
            continue
        counts = Counter(image.class_name for unit in giver for image in unit)
        spared = [
            unit for unit in giver if (counts - Counter(image.class_name for image in unit)).keys() == counts.keys()
        ]
        unit = (spared or giver)[-1]  # they are sorted by size, largest first
        giver.remove(unit)
        units.append(unit)


def _complete_train(members: Mapping[str, list[list[Labeled]]]) -> None:
    """Move the smallest group of each class that train lacks to train, if possible from a split with more groups."""
    train = members["train"]
    others = [units for split, units in members.items() if split != "train"]
    for name in sorted({image.class_name for units in others for unit in units for image in unit}):
        if any(image.class_name == name for unit in train for image in unit):
            continue
        having = [
            (len(units) == 1, len(unit), index, position)
            for index, units in enumerate(others)
            for position, unit in enumerate(units)
            if any(image.class_name == name for image in unit)
        ]
        *_, index, position = min(having)
        train.append(others[index].pop(position))
