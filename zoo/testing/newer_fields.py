"""What a spec uses that older versions of the plugin contract did not have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields

from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.plugin.backbone_spec import UPSTREAM
from zoo.plugin.fields import matches
from zoo.registry.upstream_version import is_exact
from zoo.testing.signatures import find_call_fault

#: Version of the contract that added the following.
VERSION = 2
#: Fields that the version added.
OF_BACKBONES = (
    "fixed", "unused", "output_field", "features", "head_parameters", "first_conv", "preprocessing", "run_files",
)  # fmt: skip
OF_WEIGHTS = ("sha1", "md5", "member")
#: Fields that may have values since then that they could not have before, and those values.
WIDENED = {
    "convert": "a convert that takes the model",
    "upstream": "a range of versions in upstream",
    "constructor": "lines of code as constructor",
    "name": "a name with a second slash",
}
#: Keys of ``unsupported`` that the version added.
REASONS = ("meta", "channels")


def list_newer(spec: BackboneSpec) -> list[str]:
    """List the fields and the values of a spec that version 1 of the contract did not have."""
    published = spec.weights if type(spec.weights) is tuple else ()  # spec.fields reports other types
    of_weights = [name for own in published if isinstance(own, WeightsSpec) for name in _list_set(own, OF_WEIGHTS)]
    return [*_list_set(spec, OF_BACKBONES), *dict.fromkeys(of_weights), *_list_widened(spec)]


def _list_set(spec: BackboneSpec | WeightsSpec, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the fields that differ from their defaults."""
    defaults = {field.name: field.default for field in fields(spec)}
    yield from (name for name in names if getattr(spec, name) != defaults[name])


def _list_widened(spec: BackboneSpec) -> Iterator[str]:
    convert = spec.convert
    takes_two = callable(convert) and not find_call_fault(convert, "tag", "tensors")
    if callable(convert) and not takes_two and not find_call_fault(convert, "tag", "tensors", "model"):
        yield WIDENED["convert"]
    if matches(UPSTREAM, spec.upstream) and not is_exact(str(spec.upstream)):
        yield WIDENED["upstream"]
    if isinstance(spec.constructor, str) and "\n" in spec.constructor:
        yield WIDENED["constructor"]
    if isinstance(spec.unsupported, Mapping):
        yield from (f"{name!r} in unsupported" for name in REASONS if name in spec.unsupported)
    if isinstance(spec.name, str) and spec.name.count("/") > 1:
        yield WIDENED["name"]
