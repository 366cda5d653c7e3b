"""Examine labeled images for evaluating a finished run. The labels are indices into the class names of the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.data.bit_depth import find_peaks, report_bits
from zoo.data.channels import RGB
from zoo.data.examination.examine import examine_files
from zoo.data.examination.findings import list_findings
from zoo.data.examination.report import report_findings
from zoo.data.listing import LeftOut, Listing, show_names
from zoo.data.missing_files import explain_missing
from zoo.data.sample import Sample
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.progress import Progress


@dataclass(frozen=True, slots=True)
class Trained:
    """What a finished run knows about the images that it was trained on."""

    #: Class names; the index of a class is its label.
    classes: tuple[str, ...]
    #: Number of bits that its 16-bit images use; None if there were none.
    bits: int | None = None
    #: Number of channels of its input.
    channels: int = RGB


@dataclass(frozen=True, slots=True)
class LabeledImages:
    """The images of one split."""

    #: ``train``, ``val``, ``test`` or ``all``.
    split: str
    samples: tuple[Sample, ...]
    #: Files that are not used, except for those of other splits.
    left_out: tuple[LeftOut, ...]


def open_labeled(
    listing: Listing, origin: str, split: str | None, *, trained: Trained, progress: Progress
) -> LabeledImages:
    """Examine the images of one split.

    Args:
        listing: Images of the data source.
        origin: Name of the data source.
        split: ``train``, ``val``, ``test`` or ``all``. None means ``test`` if it exists, else ``val``, else ``all``.
        trained: What the run knows about the images that it was trained on.
        progress: Where to report progress and unused files.

    Raises:
        DataError: If the split does not exist, has no readable image, or has a class that is unknown to the run.
    """
    for note in listing.notes:
        progress.say(f"note: {note}")
    chosen = _choose_split(listing, split, origin)
    if chosen == "all" and split is None:
        progress.say(f"note: {origin} has no splits; using all images, including those that the run was trained on")
    files = [file for file in listing.files if chosen in ("all", file.split)]
    labels = {name: label for label, name in enumerate(trained.classes)}
    unknown = sorted({file.class_name for file in files} - labels.keys())
    if unknown:
        raise DataError(f"the run has no class {show_names(unknown)}; its classes are {', '.join(trained.classes)}.")
    good, bad, traits = examine_files(files, labels, progress=progress, channels=trained.channels)
    unused = (item for item in listing.left_out if chosen == "all" or item.split in (None, chosen))
    left_out = tuple(sorted((*unused, *bad), key=lambda item: str(item.path)))
    for item in left_out:  # all of them, as in a prediction
        progress.say(f"skipped {str(item.path)!r}: {item.reason}")
    report_bits(find_peaks(good, traits), trained.bits, progress)
    report_findings(list_findings(good, bad, sorted({file.class_name for file in files}), traits), progress)
    if not good:
        advice = explain_missing(files) if files else f"; {listing.layouts}"
        raise DataError(f"{origin!r} has no readable images in {chosen}{advice}.")
    return LabeledImages(chosen, tuple(good), left_out)


def _choose_split(listing: Listing, split: str | None, origin: str) -> str:
    if split is None:
        return next((name for name in ("test", "val") if name in listing.splits), "all")
    if split == "all" or (listing.has_splits and split in listing.splits):
        return split
    available = ", ".join(listing.splits) if listing.has_splits else "no splits"
    raise DataError(f"{origin!r} has no split {split!r}; it has {available}. To use every image, set `split` to all.")
