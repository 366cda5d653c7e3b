"""Types of what run.json says about the data of a run, and of the values in all files; see `zoo.files.schema`."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta

Name = Annotated[str, Meta(min_length=1, max_length=1000)]
Text = Annotated[str, Meta(max_length=100_000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]


class Images(TypedDict):
    """Numbers of images per split."""

    train: Count
    val: Count
    test: Count


class SkippedFile(TypedDict):
    """A file that was not used, and why."""

    path: Text
    reason: Text


class ListedFinding(TypedDict):
    """A finding about an image or a class."""

    path: NotRequired[Text]
    class_name: NotRequired[Name]
    detail: NotRequired[Text]


class Findings(TypedDict):
    """Findings of one kind in one split."""

    kind: Name
    split: Name
    count: Positive
    listed: list[ListedFinding]


class DataFacts(TypedDict):
    """The data of a run."""

    asked: Text
    #: Whether the data was a Python object, which only `asked` describes.
    is_object: NotRequired[bool]
    #: Kind of data source, as in `zoo.data.sources.kinds`.
    kind: NotRequired[Name]
    fingerprint: Name
    images: Images
    left_out: list[SkippedFile]
    findings: NotRequired[list[Findings]]
