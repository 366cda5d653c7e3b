"""What a backbone can do and what it cannot, as its plugin declares it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, get_args

from zoo.plugin.fields import are_paths, are_reasons, refuse, require

Capability = Literal["image_sizes", "channels", "bf16", "gradient_checkpointing", "export", "compile"]

#: Capabilities that a backbone can declare.
CAPABILITIES = get_args(Capability)
#: Capabilities that every backbone has unless it declares why not. ``meta`` means that the model can be built and run
#: on torch's meta device.
EXPECTED = ("freezing", "cached_features", "meta")

_CLAIMS = (*EXPECTED, *CAPABILITIES)
_CAPABILITY_NAMES, _CLAIM_NAMES = ", ".join(CAPABILITIES), ", ".join(_CLAIMS)


class Claims(Protocol):
    """The fields of a spec that declare capabilities."""

    @property
    def supports(self) -> tuple[Capability, ...]:
        """Capabilities that the backbone has."""

    @property
    def unsupported(self) -> Mapping[str, str]:
        """Capabilities that it lacks, each with the reason."""

    @property
    def first_conv(self) -> str | tuple[str, ...] | None:
        """Paths of the layers that take the channels of an image."""

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """Checks that are known to fail, each with the reason."""


def check_capabilities(spec: Claims) -> None:
    """Check the capabilities that a backbone declares, and its expected failures."""
    supports, unsupported = spec.supports, spec.unsupported
    require(
        spec,
        ("supports", _are_capabilities(supports), f"a tuple of distinct values from {_CAPABILITY_NAMES}"),
        (
            "unsupported",
            are_reasons(unsupported) and unsupported.keys() <= {*_CLAIMS},
            f"a mapping from any of {_CLAIM_NAMES} to reasons",
        ),
        ("expected_failures", are_reasons(spec.expected_failures), "a mapping from names of checks to reasons"),
    )
    if both := [name for name in supports if name in unsupported]:
        refuse(spec, "supports", supports, f"a tuple without {', '.join(both)}, because unsupported also contains it")


def check_first_conv(spec: Claims) -> None:
    """Check the declared first convolutions, which the capability ``channels`` needs."""
    paths = list_first_convs(spec)
    require(
        spec,
        (
            "first_conv",
            spec.first_conv is None or (paths != () and are_paths(paths)),
            "a dotted path, a nonempty tuple of distinct dotted paths, or None",
        ),
        (
            "supports",
            "channels" not in spec.supports or spec.first_conv is not None,
            "a tuple without channels, because first_conv is None",
        ),
    )


def list_first_convs(spec: Claims) -> tuple[str, ...]:
    """Return the paths of the layers that take the channels of an image; empty if none are declared."""
    if spec.first_conv is None:
        return ()
    return (spec.first_conv,) if isinstance(spec.first_conv, str) else spec.first_conv


def needs_cpu(spec: Claims) -> bool:
    """Return whether a backbone declares that it cannot be built or run on torch's meta device."""
    # If checks are deferred, the field can be of any type; the conformance kit reports it.
    return isinstance(spec.unsupported, Mapping) and "meta" in spec.unsupported


def _are_capabilities(value: Any) -> bool:
    return type(value) is tuple and all(name in CAPABILITIES for name in value) and len({*value}) == len(value)
