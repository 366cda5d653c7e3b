"""Generate a data set of a plugin as zoo does, and read it with zoo's own reader."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from zoo.data.decode import decode_image
from zoo.data.sources.folder import list_folder
from zoo.errors import DataError
from zoo.files.download import sha256_of
from zoo.plugin import DatasetSpec
from zoo.testing.isolation.side_effects import watch_side_effects
from zoo.testing.results.place import find_function
from zoo.testing.results.result import CheckFailed, describe_with_place

if TYPE_CHECKING:
    from zoo.data.listing import Listing


def draw(dataset: DatasetSpec) -> dict[str, str]:
    """Generate a data set and read it; return the digest of each image, keyed by its path.

    Raises:
        CheckFailed: If the data set cannot be generated, or zoo could not train on it.
    """
    assert dataset.make is not None, "the caller passes only data sets with make"
    with TemporaryDirectory() as place:
        folder = Path(place, "images")
        folder.mkdir()
        _generate(dataset, folder)
        root = folder / dataset.root
        if not root.is_dir():
            raise CheckFailed(f"`make` of the data set {dataset.name} writes no folder {dataset.root!r}, its `root`.")
        try:
            listing = list_folder(root)
        except DataError as error:
            raise CheckFailed(f"the generated data set {dataset.name} cannot be used: {error}") from error
        _refuse_unusable(dataset, listing)
        return {image.path.relative_to(folder).as_posix(): sha256_of(image.path) for image in listing.files}


def _generate(dataset: DatasetSpec, folder: Path) -> None:
    assert dataset.make is not None
    with watch_side_effects(first=True) as effects:
        try:
            dataset.make(folder)
        except Exception as error:  # noqa: BLE001  # it is reported
            effects.error = error
    if effects.connections:
        raise CheckFailed(
            f"the data set {dataset.name} connects to {effects.connections[0]} while it is generated; "
            "declare the `url` in the spec, and zoo will download it.",
            effects.place,
        )
    if effects.error is not None:
        raise CheckFailed(
            f"generating the data set {dataset.name} fails: {describe_with_place(effects.error)}."
        ) from effects.error


def _refuse_unusable(dataset: DatasetSpec, listing: Listing) -> None:
    """Raise CheckFailed if zoo could not train on the images: it needs two classes, each with images for training."""
    made = find_function(dataset.make) if dataset.make else ""
    if not listing.files:
        raise CheckFailed(
            f"`make` wrote no images for the data set {dataset.name}; it must write images into one folder per class.",
            made,
        )
    counts = {name: 0 for names in listing.classes_of.values() for name in names}
    for image in listing.files:
        counts[image.class_name] += image.split == "train"
    if empty := [name for name, count in counts.items() if not count]:
        raise CheckFailed(
            f"the generated data set {dataset.name} has no training images of {', '.join(map(repr, empty[:3]))}; "
            "write some, or remove the class.",
            made,
        )
    if len(counts) < 2:
        raise CheckFailed(
            f"the generated data set {dataset.name} has only the class {next(iter(counts))!r}; write at least two.",
            made,
        )
    for image in listing.files:
        try:
            decode_image(image.path)
        except DataError as error:
            where = image.path.name
            raise CheckFailed(
                f"the generated data set {dataset.name} has an image {where!r} that cannot be read: {error}", made
            ) from error
