"""One published set of weights of a backbone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.plugin.fields import (
    URL,
    accepting_licence,
    are_paths,
    check_when_made,
    is_count,
    is_number,
    is_text,
    matches,
    refuse,
)
from zoo.plugin.input_spec import InputSpec

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SHA256 = re.compile(r"[0-9a-f]{8,64}")

#: What ``--weights`` means otherwise than by a tag.
NO_TAGS = ("none", "DEFAULT")
FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@accepting_licence
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSpec:
    """One published set of weights of a backbone."""

    tag: str
    #: ``https://...``, ``hf://owner/name/file`` or ``file:///...``; None where it cannot be fetched.
    url: str | None
    #: SPDX identifier, or ``unknown``.
    license: str
    #: Hex digits of the file's SHA-256, all 64 or the first few that upstream publishes.
    sha256: str | None = None
    #: Size of the file in bytes, as upstream states it: it may be rounded, and is shown, not checked.
    size: int | None = None
    #: Outputs of the head in the file; None where the file has no usable head.
    num_classes: int | None = 1000
    #: ImageNet-1k top-1 accuracy in percent, as upstream states it.
    accuracy: float | None = None
    #: Where these weights expect another input than the backbone's own.
    input: InputSpec | None = None
    #: Parameter-name prefixes besides the head that the file lacks or holds without meaning.
    lacks: tuple[str, ...] = ()
    #: The first logits for the image that ``zoo check`` draws, which tell that these are the weights that were meant.
    logits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_when_made(check_weights, self)


def check_weights(spec: WeightsSpec) -> None:
    """Check one set of published weights."""
    _check_tag(spec)
    if spec.url is not None and not matches(URL, spec.url):
        refuse(spec, "url", spec.url, "https://..., hf://owner/name/file, file:///... or None")
    if not is_text(spec.license):
        refuse(spec, "license", spec.license, "an SPDX identifier, or 'unknown'")
    if spec.sha256 is not None and not matches(SHA256, spec.sha256):
        refuse(spec, "sha256", spec.sha256, "8 to 64 lower-case hex digits, or None")
    if spec.size is not None and not is_count(spec.size):
        refuse(spec, "size", spec.size, "a number of bytes, or None")
    if spec.num_classes is not None and not is_count(spec.num_classes):
        refuse(spec, "num_classes", spec.num_classes, "a number of classes, or None for no head")
    if spec.accuracy is not None and not (is_number(spec.accuracy) and 0 <= spec.accuracy <= 100):
        refuse(spec, "accuracy", spec.accuracy, "a number of percent, or None")
    if spec.input is not None and not isinstance(spec.input, InputSpec):
        refuse(spec, "input", spec.input, "an InputSpec or None")
    if not are_paths(spec.lacks):
        refuse(spec, "lacks", spec.lacks, "a tuple of parameter-name prefixes that differ")
    if not (type(spec.logits) is tuple and all(map(is_number, spec.logits))):
        refuse(spec, "logits", spec.logits, "a tuple of numbers")


def _check_tag(spec: WeightsSpec) -> None:
    if not matches(TAG, spec.tag):
        refuse(spec, "tag", spec.tag, "letters, digits, '_', '.' and '-'")
    if spec.tag in NO_TAGS or spec.tag.endswith(FILE_SUFFIXES):
        refuse(spec, "tag", spec.tag, "another word: `weights` means something else by this one")
