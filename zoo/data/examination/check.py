"""Examine the images of a data source without training on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.data.examination.examine import examine_files
from zoo.data.examination.findings import Finding, list_findings
from zoo.data.listing import SPLITS, Listing, check_trainable
from zoo.data.source import list_images, name_source
from zoo.errors import DataError

if TYPE_CHECKING:
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


def examine_source(value: Any, options: DataOptions, *, registry: Registry, progress: Progress) -> Examination:
    """Decode every image of a data source, and list what is unusual or wrong about the images.

    Args:
        value: A folder, a table, an archive, the name of a data set, or a Python object.
        options: How to find the images.
        registry: Where to look up the names of data sets.
        progress: Where to report progress.

    Raises:
        DataError: If the images cannot be listed.
        DownloadError: If a named data set cannot be fetched.
        NameNotFound: If there is no data set of that name.
        OptionError: If an option does not apply to this data source.
    """
    origin = name_source(value)
    listing = list_images(value, options, registry=registry, progress=progress)
    for note in listing.notes:
        progress.say(f"note: {note}")
    classes = tuple(dict.fromkeys(name for split in SPLITS for name in listing.classes_of.get(split, ())))
    labels = {name: label for label, name in enumerate(classes)}
    good, bad, traits = examine_files(listing.files, labels, progress=progress)
    findings = list_findings(good, (*listing.left_out, *bad), listing.classes, traits)
    images = {split: sum(sample.file.split == split for sample in good) for split in listing.splits}
    return Examination(origin, classes, images, tuple(findings), _find_problem(listing, origin))


def _find_problem(listing: Listing, origin: str) -> str | None:
    try:
        check_trainable(listing, origin)
    except DataError as error:
        return str(error)
    return None
