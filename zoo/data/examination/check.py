"""Examine the images of a data source without training on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.data.channels import RGB
from zoo.data.examination.examine import examine_files
from zoo.data.examination.findings import Finding, list_findings
from zoo.data.examination.traits import Traits
from zoo.data.listing import SPLITS, LeftOut, Listing, check_trainable
from zoo.data.sample import Sample
from zoo.data.source import list_images, name_source
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.pixel_cache import Views
    from zoo.progress import Progress
    from zoo.registry.data_options import DataOptions
    from zoo.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Examination:
    """What is known about the images of a data source."""

    #: Folder, archive or data set, as the caller passed it.
    data: str
    classes: tuple[str, ...]
    #: Number of readable images in each split. If the source has no splits, all images are in train.
    images: Mapping[str, int]
    #: What is unusual or wrong, the most harmful kinds first.
    findings: tuple[Finding, ...]
    #: Why no model can be trained on these images; None if one can.
    problem: str | None

    @property
    def is_clean(self) -> bool:
        """Whether a model can be trained, and no finding is a warning."""
        return self.problem is None and not any(finding.kind.is_warning for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Examined:
    """The decoded images of a listing."""

    listing: Listing
    #: Name of the data source.
    origin: str
    #: The readable images, in the order of the listing.
    samples: tuple[Sample, ...]
    unreadable: tuple[LeftOut, ...]
    #: Traits of the readable images by their digests.
    traits: Mapping[bytes, Traits]


def examine_source(
    value: Any, options: DataOptions, *, registry: Registry, progress: Progress, channels: int = RGB
) -> Examination:
    """Decode every image of a data source, and list what is unusual or wrong about the images.

    Args:
        value: A folder, a table, an archive, the name of a data set, or a Python object.
        options: How to find the images.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.
        channels: Number of channels of the input.

    Raises:
        DataError: If the images cannot be listed.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to this data source.
    """
    listing = list_images(value, options, registry=registry, progress=progress)
    return summarize(examine_listing(listing, name_source(value), progress=progress, channels=channels))


def examine_listing(
    listing: Listing, origin: str, *, keep: Views | None = None, progress: Progress, channels: int = RGB
) -> Examined:
    """Decode every image of a listing.

    Args:
        listing: Images of the data source.
        origin: Name of the data source.
        keep: Cache that receives the decoded images.
        progress: Where to report progress.
        channels: Number of channels of the input.
    """
    for note in listing.notes:
        progress.say(f"note: {note}")
    labels = {name: label for label, name in enumerate(_list_classes(listing))}
    good, bad, traits = examine_files(listing.files, labels, keep=keep, progress=progress, channels=channels)
    return Examined(listing, origin, tuple(good), tuple(bad), traits)


def summarize(examined: Examined, similar: Iterable[tuple[bytes, bytes]] = ()) -> Examination:
    """List what is unusual or wrong about images.

    Args:
        examined: The images.
        similar: Digests of pairs of images that look the same although their hashes differ.
    """
    listing, samples = examined.listing, examined.samples
    left_out = (*listing.left_out, *examined.unreadable)
    findings = list_findings(samples, left_out, listing.classes, examined.traits, similar)
    images = {split: sum(sample.file.split == split for sample in samples) for split in listing.splits}
    problem = _find_problem(listing, examined.origin)
    return Examination(examined.origin, _list_classes(listing), images, tuple(findings), problem)


def _list_classes(listing: Listing) -> tuple[str, ...]:
    """Return the classes of all splits, those of train first."""
    return tuple(dict.fromkeys(name for split in SPLITS for name in listing.classes_of.get(split, ())))


def _find_problem(listing: Listing, origin: str) -> str | None:
    try:
        check_trainable(listing, origin)
    except DataError as error:
        return str(error)
    return None
