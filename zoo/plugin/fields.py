"""What the fields of a spec must be; each check raises PluginError with the field, the value and what is wanted.

A spec is checked where it is made, so the error points into the plugin that made it. Listing checks a plugin's
hundreds of specs: keep the checks cheap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from zoo.errors import PluginError

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec

NAMESPACE = re.compile(r"[a-z][a-z0-9_-]*")
QUALIFIED_NAME = re.compile(r"[a-z][a-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
DATASET_NAME = re.compile(r"([a-z][a-z0-9_-]*/)?[A-Za-z0-9][A-Za-z0-9_.-]*")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
SHA256 = re.compile(r"[0-9a-f]{8,64}")
CONSTRUCTOR = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\(([^{}\n]*\{(num_classes|image_size)\})*[^{}\n]*\)")
UPSTREAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*==\S+")
URL = re.compile(r"https?://[^/]+/.+|hf://[^/]+/[^/]+/.+|file:///.+")

#: What a backbone may claim that it can do besides.
CAPABILITIES = ("image_sizes", "bf16", "gradient_checkpointing", "export", "compile")
#: What every backbone can do unless it says why not.
EXPECTED = ("freezing", "cached_features")

_CLAIMS = frozenset((*EXPECTED, *CAPABILITIES))

CROPS = ("center", "squash", "border")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")

#: What ``--weights`` means otherwise than by a tag.
NO_TAGS = ("none", "DEFAULT")
FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


Spec = TypeVar("Spec")

_deferred: ContextVar[bool] = ContextVar("deferred", default=False)

#: Blocks that have passed, by identity, and held, so that nothing else gets theirs.
_passed: dict[int, tuple[BlockSpec, ...]] = {}


@contextmanager
def checks_deferred() -> Iterator[None]:
    """Let specs be made unchecked.

    For those who name all faults, and not the first one, by checking afterwards; and for a plugin that reads back, at
    every start, a thousand specs that were checked before they were written down.
    """
    token = _deferred.set(True)
    try:
        yield
    finally:
        _deferred.reset(token)


def check_when_made(check: Callable[[Spec], None], spec: Spec) -> None:
    """Check a spec that is being made, unless checks are deferred."""
    if not _deferred.get():
        check(spec)


def check_input(spec: InputSpec) -> None:
    """Check the input of a backbone."""
    size = spec.size
    if not (type(size) is tuple and len(size) == 3 and all(_is_count(length) for length in size)):
        _refuse(spec, "size", size, "three positive numbers: channels, height, width")
    for field in ("mean", "std"):
        value = getattr(spec, field)
        if not (type(value) is tuple and len(value) == size[0] and all(map(_is_number, value))):
            _refuse(spec, field, value, f"a tuple of {size[0]} numbers, one per channel")
    if min(spec.std) <= 0:
        _refuse(spec, "std", spec.std, "numbers above zero")
    if not _is_count(spec.resize):
        _refuse(spec, "resize", spec.resize, "a number of pixels above zero")
    if spec.crop not in CROPS:
        _refuse(spec, "crop", spec.crop, f"one of {', '.join(CROPS)}")
    if spec.interpolation not in INTERPOLATIONS:
        _refuse(spec, "interpolation", spec.interpolation, f"one of {', '.join(INTERPOLATIONS)}")
    if spec.min_size is not None and not _is_count(spec.min_size):
        _refuse(spec, "min_size", spec.min_size, "a number of pixels above zero, or None")


def check_weights(spec: WeightsSpec) -> None:
    """Check one set of published weights."""
    _check_tag(spec)
    if spec.url is not None and not _matches(URL, spec.url):
        _refuse(spec, "url", spec.url, "https://..., hf://owner/name/file, file:///... or None")
    if not _is_text(spec.licence):
        _refuse(spec, "licence", spec.licence, "an SPDX identifier, or 'unknown'")
    if spec.sha256 is not None and not _matches(SHA256, spec.sha256):
        _refuse(spec, "sha256", spec.sha256, "8 to 64 lower-case hex digits, or None")
    if spec.size is not None and not _is_count(spec.size):
        _refuse(spec, "size", spec.size, "a number of bytes, or None")
    if spec.num_classes is not None and not _is_count(spec.num_classes):
        _refuse(spec, "num_classes", spec.num_classes, "a number of classes, or None for no head")
    if spec.accuracy is not None and not (_is_number(spec.accuracy) and 0 <= spec.accuracy <= 100):
        _refuse(spec, "accuracy", spec.accuracy, "a number of percent, or None")
    if spec.input is not None and not _is_spec(spec.input, "InputSpec"):
        _refuse(spec, "input", spec.input, "an InputSpec or None")
    if not _are_paths(spec.lacks):
        _refuse(spec, "lacks", spec.lacks, "a tuple of parameter-name prefixes that differ")
    if not (type(spec.logits) is tuple and all(map(_is_number, spec.logits))):
        _refuse(spec, "logits", spec.logits, "a tuple of numbers")


def check_block(spec: BlockSpec) -> None:
    """Check a block."""
    if not _is_text(spec.name):
        _refuse(spec, "name", spec.name, "a text")
    if not (_are_paths(spec.prefixes) and spec.prefixes):
        _refuse(spec, "prefixes", spec.prefixes, "a tuple of parameter-name prefixes that differ, at least one")


def check_backbone(spec: BackboneSpec) -> None:
    """Check a backbone, all but the parts that its own specs have checked."""
    check_backbone_name(spec)
    check_backbone_licence(spec)
    check_backbone_fields(spec)
    check_capabilities(spec)


def check_backbone_name(spec: BackboneSpec) -> None:
    """Check the name of a backbone."""
    if not _matches(QUALIFIED_NAME, spec.name):
        _refuse(spec, "name", spec.name, "namespace/name, of letters, digits, '_', '.' and '-'")


def check_backbone_licence(spec: BackboneSpec) -> None:
    """Check the licence of a backbone's code."""
    if not _is_text(spec.licence):
        _refuse(spec, "licence", spec.licence, "a text")


def check_backbone_fields(spec: BackboneSpec) -> None:
    """Check what has no check of its own."""
    if not _is_text(spec.family):
        _refuse(spec, "family", spec.family, "a text")
    if spec.classifier is not None and not _is_text(spec.classifier):
        _refuse(spec, "classifier", spec.classifier, "a dotted path, or None")
    if spec.constructor is not None and not _matches(CONSTRUCTOR, spec.constructor):
        wanted = "module.name(...) with no other braces than {num_classes} and {image_size}, or None"
        _refuse(spec, "constructor", spec.constructor, wanted)
    if spec.upstream is not None and not _matches(UPSTREAM, spec.upstream):
        _refuse(spec, "upstream", spec.upstream, "distribution==version, or None")
    for field in ("params", "num_classes"):
        if not _is_count(getattr(spec, field)):
            _refuse(spec, field, getattr(spec, field), "a number above zero")
    if not _is_spec(spec.input, "InputSpec"):
        _refuse(spec, "input", spec.input, "an InputSpec")
    _check_functions(spec)
    _check_head(spec)
    _check_blocks(spec)
    _check_tags(spec)


def check_capabilities(spec: BackboneSpec) -> None:
    """Check what a backbone claims that it can do, and what not."""
    supports, unsupported = spec.supports, spec.unsupported
    known = type(supports) is tuple and all(map(CAPABILITIES.__contains__, supports))
    if not (known and len({*supports}) == len(supports)):
        _refuse(spec, "supports", supports, f"a tuple of some of {', '.join(CAPABILITIES)}, each once")
    if not (_are_reasons(unsupported) and unsupported.keys() <= _CLAIMS):
        names = ", ".join((*EXPECTED, *CAPABILITIES))
        _refuse(spec, "unsupported", unsupported, f"a mapping to reasons from any of {names}")
    if unsupported and (both := [name for name in supports if name in unsupported]):
        _refuse(spec, "supports", supports, f"without {', '.join(both)}, which unsupported has as well")
    if not _are_reasons(spec.expected_failures):
        _refuse(spec, "expected_failures", spec.expected_failures, "a mapping from checks' names to reasons")


def check_dataset(spec: DatasetSpec) -> None:
    """Check a data set."""
    if not _matches(DATASET_NAME, spec.name):
        _refuse(spec, "name", spec.name, "name or namespace/name, of letters, digits, '_', '.' and '-'")
    for field in ("description", "licence", "root"):
        if not _is_text(getattr(spec, field)):
            _refuse(spec, field, getattr(spec, field), "a text")
    root = PurePosixPath(spec.root.replace("\\", "/"))
    if root.is_absolute() or ".." in root.parts or ":" in spec.root:
        _refuse(spec, "root", spec.root, "a folder inside the archive")
    if (spec.url is None) == (spec.make is None):
        _refuse(spec, "url", spec.url, "given, or make must be, and not both")
    if spec.url is not None and not (_matches(URL, spec.url) and spec.url.startswith("http")):
        _refuse(spec, "url", spec.url, "https://... of an archive")
    if spec.sha256 is not None and not (_matches(SHA256, spec.sha256) and len(spec.sha256) == 64):
        _refuse(spec, "sha256", spec.sha256, "64 lower-case hex digits, or None")
    if spec.size is not None and not _is_count(spec.size):
        _refuse(spec, "size", spec.size, "a number of bytes, or None")
    if spec.make is not None and not callable(spec.make):
        _refuse(spec, "make", spec.make, "a function of (folder)")


def _check_tag(spec: WeightsSpec) -> None:
    if not _matches(TAG, spec.tag):
        _refuse(spec, "tag", spec.tag, "letters, digits, '_', '.' and '-'")
    if spec.tag in NO_TAGS or spec.tag.endswith(FILE_SUFFIXES):
        _refuse(spec, "tag", spec.tag, "another word: --weights means something else by this one")


def _check_functions(spec: BackboneSpec) -> None:
    if not callable(spec.build):
        _refuse(spec, "build", spec.build, "a function of (tag) that returns the model")
    if spec.convert is not None and not callable(spec.convert):
        _refuse(spec, "convert", spec.convert, "a function of (tag, tensors), or None")


def _check_head(spec: BackboneSpec) -> None:
    if not callable(spec.head) and not (_are_paths(spec.head) and spec.head):
        _refuse(spec, "head", spec.head, "a tuple of dotted paths that differ, at least one, or a function of (model)")
    if not _are_paths(spec.aux_heads):
        _refuse(spec, "aux_heads", spec.aux_heads, "a tuple of dotted paths that differ")
    if not (_is_number(spec.aux_weight) and spec.aux_weight >= 0):
        _refuse(spec, "aux_weight", spec.aux_weight, "a number, zero or above")


def _check_blocks(spec: BackboneSpec) -> None:
    blocks = spec.blocks
    # Of a plugin's thousand backbones most share their blocks with others; a tuple of frozen specs stays as it is.
    if callable(blocks) or id(blocks) in _passed:
        return
    if not (_are_specs(blocks, "BlockSpec") and blocks):
        _refuse(spec, "blocks", blocks, "a tuple of BlockSpec, at least one, or a function of (model)")
    names = [block.name for block in blocks]
    if not _differ(names):
        _refuse(spec, "blocks", names, "names that differ")
    _remember(blocks)


def _remember(blocks: tuple[BlockSpec, ...]) -> None:
    if len(_passed) >= 1000:
        _passed.clear()
    if type(blocks) is tuple:
        _passed[id(blocks)] = blocks


def _check_tags(spec: BackboneSpec) -> None:
    if not _are_specs(spec.weights, "WeightsSpec"):
        _refuse(spec, "weights", spec.weights, "a tuple of WeightsSpec")
    tags = [weights.tag for weights in spec.weights]
    if not _differ(tags):
        _refuse(spec, "weights", tags, "tags that differ")


def _refuse(spec: object, field: str, value: object, wanted: str) -> NoReturn:
    owner = getattr(spec, "name", None) or getattr(spec, "tag", None)
    called = f" {owner!r}" if isinstance(owner, str) and field not in ("name", "tag") else ""
    shown = repr(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    raise PluginError(f"{type(spec).__name__}{called} has {field}={shown}; it must be {wanted}.")


def _is_text(value: Any) -> bool:
    # On one line and without control characters: it is shown in tables and on terminals.
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_count(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_paths(value: Any) -> bool:
    return type(value) is tuple and all(map(_is_path, value)) and (len(value) < 2 or len({*value}) == len(value))


def _is_path(value: Any) -> bool:
    # No parameter has a space in its name.
    return _is_text(value) and " " not in value


def _differ(names: list[str]) -> bool:
    # Of deferred specs a name may be anything, even what has no hash.
    return len(names) < 2 or len({*map(repr, names)}) == len(names)


def _are_reasons(value: Any) -> bool:
    return isinstance(value, Mapping) and (not value or all(map(_is_text, (*value, *value.values()))))


def _are_specs(value: Any, kind: str) -> bool:
    return isinstance(value, tuple) and all(_is_spec(spec, kind) for spec in value)


def _is_spec(value: Any, kind: str) -> bool:
    # By name, since the specs are declared above this module; but ours, for others have an InputSpec too.
    return type(value).__name__ == kind and type(value).__module__ == "zoo.plugin"


def _matches(pattern: re.Pattern[str], value: Any) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
