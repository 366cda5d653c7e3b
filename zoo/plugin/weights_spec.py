"""One published set of weights of a backbone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from zoo.plugin.fields import (
    URL,
    accepting_licence,
    are_paths,
    check_when_made,
    is_count,
    is_number,
    is_text,
    matches,
    require,
)
from zoo.plugin.input_spec import InputSpec

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SHA256 = re.compile(r"[0-9a-f]{8,64}")
SHA1 = re.compile(r"[0-9a-f]{40}")
MD5 = re.compile(r"[0-9a-f]{32}")

#: Values of the ``weights`` option that are not tags.
NO_TAGS = ("none", "DEFAULT")
#: Suffixes of files that the ``weights`` option accepts.
FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".tar", ".bin")
_ENDINGS = ", ".join(FILE_SUFFIXES)


@accepting_licence
@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsSpec:
    """One published set of weights of a backbone.

    Example:
        WeightsSpec(
            tag="in1k",
            url="https://example.org/net-in1k.safetensors",
            license="Apache-2.0",
            sha256="9b2c8d5f...",  # all 64 hex digits, or the first 8 or more
            accuracy=71.6,
        )

    Raises:
        PluginError: If a field has an invalid value.
    """

    #: Name that identifies these weights among the backbone's, as in ``acme/net@in1k``.
    tag: str
    #: URL of the file: ``https://...``, ``hf://owner/name/file`` or ``file:///...``; None if the file cannot be
    #: downloaded, which ``zoo check`` reports as a failure.
    url: str | None
    #: SPDX identifier of the weights' license, or ``unknown``.
    license: str
    #: SHA-256 of the file: all 64 lowercase hex digits, or the first 8 or more that upstream publishes. zoo does not
    #: read a pickle (.pth, .pt, .ckpt, .tar, .bin) without a digest.
    sha256: str | None = None
    #: SHA-1 of the file, 40 lowercase hex digits, if upstream publishes no SHA-256. SHA-1 and MD5 are weak: they show
    #: that a file is damaged, but not that its publisher made only one such file.
    sha1: str | None = None
    #: MD5 of the file, 32 lowercase hex digits, if upstream publishes nothing better.
    md5: str | None = None
    #: Path of the file in the .zip or .tar archive that ``url`` refers to; None if ``url`` is the file itself. zoo
    #: keeps only this file, and the digests are those of this file.
    member: str | None = None
    #: Size of the file in bytes, as published. zoo shows the size but does not check it, because it may be rounded.
    size: int | None = None
    #: Number of outputs of the head in the file; None if the file has no usable head.
    num_classes: int | None = 1000
    #: Top-1 accuracy on ImageNet-1k in percent, as published.
    accuracy: float | None = None
    #: Input that these weights expect; None if it is the same as the backbone's.
    input: InputSpec | None = None
    #: Prefixes of parameter names, besides the head's, for which the file has no usable values.
    lacks: tuple[str, ...] = ()
    #: First few logits for the image that ``zoo check`` generates. They identify the intended weights.
    logits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_when_made(check_weights, self)


def check_weights(spec: WeightsSpec) -> None:
    """Check one published set of weights.

    Raises:
        PluginError: If a field has an invalid value.
    """
    require(spec, ("tag", matches(TAG, spec.tag), "made of letters, digits, '_', '.' and '-'"))
    is_free = spec.tag not in NO_TAGS and not spec.tag.lower().endswith(FILE_SUFFIXES)
    are_logits = type(spec.logits) is tuple and all(map(is_number, spec.logits))
    is_percentage = spec.accuracy is None or (is_number(spec.accuracy) and 0 <= spec.accuracy <= 100)
    require(
        spec,
        ("tag", is_free, "a different word, because this one has a special meaning for `weights`"),
        ("url", spec.url is None or matches(URL, spec.url), "https://..., hf://owner/name/file, file:///... or None"),
        ("license", is_text(spec.license), "an SPDX identifier, or 'unknown'"),
        ("sha256", spec.sha256 is None or matches(SHA256, spec.sha256), "8 to 64 lowercase hex digits, or None"),
        ("sha1", spec.sha1 is None or matches(SHA1, spec.sha1), "40 lowercase hex digits, or None"),
        ("md5", spec.md5 is None or matches(MD5, spec.md5), "32 lowercase hex digits, or None"),
        ("sha1", spec.sha1 is None or spec.sha256 is None, "None if sha256 is set"),
        ("md5", spec.md5 is None or spec.sha256 is spec.sha1 is None, "None if sha256 or sha1 is set"),
        (
            "member",
            spec.member is None or _is_member(spec.member),
            f"a relative path ending in one of {_ENDINGS}",
        ),
        ("size", spec.size is None or is_count(spec.size), "a positive number of bytes, or None"),
        (
            "num_classes",
            spec.num_classes is None or is_count(spec.num_classes),
            "a positive number of classes, or None if the file has no head",
        ),
        ("accuracy", is_percentage, "a number from 0 to 100, in percent, or None"),
        ("input", spec.input is None or isinstance(spec.input, InputSpec), "an InputSpec or None"),
        ("lacks", are_paths(spec.lacks), "a tuple of distinct parameter-name prefixes"),
        ("logits", are_logits, "a tuple of numbers"),
    )


def _is_member(value: Any) -> bool:
    """Return whether a value is a relative path with slashes to a weights file, without ``..``."""
    if not is_text(value) or "\\" in value or not value.lower().endswith(FILE_SUFFIXES):
        return False
    return all(part not in ("", ".", "..") for part in value.split("/"))
