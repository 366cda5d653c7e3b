"""Comparison of the declared inputs with upstream's own preprocessing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from zoo.models.weights.choose import input_for
from zoo.plugin import BackboneSpec, InputSpec
from zoo.registry.plugins.place import find_definition, find_place
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.inputs.cause import describe_cause
from zoo.testing.inputs.parity import Prepared, Preprocess, prepare_upstream
from zoo.testing.isolation.side_effects import SideEffects, watch_side_effects
from zoo.testing.results.result import CheckFailed, NotApplicable

#: Number of channels of a photo.
_RGB = 3


def upstream(backbone: BackboneUnderTest) -> None:
    """Preprocess drawn photos with zoo's evaluation pipeline and with upstream, for the weights of each tag."""
    spec = backbone.spec
    if spec.preprocessing is None:
        raise NotApplicable(
            f"it declares no preprocessing of {spec.upstream}, so its input is not compared with upstream's"
            if spec.upstream
            else "it declares no upstream with whose preprocessing its input could be compared"
        )
    if spec.input.size[0] != _RGB:
        raise NotApplicable(f"photos have {_RGB} channels, but its input has {spec.input.size[0]}")
    compared = [_compare(spec, published.tag) for published in spec.weights] or [_compare(spec, None)]
    if not any(compared):
        raise NotApplicable("its preprocessing returns None for all weights, so its input is not compared")


def _compare(spec: BackboneSpec, tag: str | None) -> bool:
    """Compare the input of the weights with a tag. Return False if upstream publishes no preprocessing for them."""
    expected, named = input_for(spec, tag), f"weights {tag}" if tag else "the network without weights"
    with _explained_errors(spec, tag), _connections_reported(named):
        preprocess = _find_preprocessing(spec, tag)
        prepared = preprocess and prepare_upstream(preprocess, expected)
    if prepared is None:
        return False
    _expect_tensors(prepared, expected, named)
    found = prepared.compare(expected)
    if not (found.has_same_pixels and found.has_same_normalization(expected)):
        cause, place = describe_cause(prepared, expected, found), _find_place(spec)
        raise CheckFailed(f"for {named}, upstream's preprocessing {cause}, or preprocessing{place}.")
    return True


def _find_preprocessing(spec: BackboneSpec, tag: str | None) -> Preprocess | None:
    """Return upstream's preprocessing for the weights with a tag, or None if there is none."""
    assert spec.preprocessing is not None  # the check does not apply otherwise
    preprocess = spec.preprocessing(tag)
    if preprocess is not None and not callable(preprocess):
        raise CheckFailed(
            f"preprocessing({tag!r}) returns an object of type {type(preprocess).__name__}; it must return a function "
            f"of an RGB image, or None{_find_place(spec)}."
        )
    return preprocess


@contextmanager
def _explained_errors(spec: BackboneSpec, tag: str | None) -> Iterator[None]:
    try:
        yield
    except CheckFailed:
        raise
    except Exception as error:
        place = find_place(error)
        raise CheckFailed(
            f"preprocessing({tag!r}){_find_place(spec)}, or what it returns, raises {type(error).__name__}: {error}"
            f"{place and f' ({place})'}; it must return a function that accepts an RGB image."
        ) from error


@contextmanager
def _connections_reported(named: str) -> Iterator[None]:
    """Refuse connections, because this level works offline."""
    effects = SideEffects()
    try:
        with watch_side_effects(first=True) as effects:
            yield
    finally:
        if effects.connections:
            raise CheckFailed(
                f"for {named}, preprocessing connects to {effects.connections[0]}; write the values of upstream's file "
                "into the plugin."
            )


def _expect_tensors(prepared: Prepared, expected: InputSpec, named: str) -> None:
    """Raise CheckFailed if upstream's results are not finite float tensors with the shape of the input."""
    for result in prepared.theirs:
        if not isinstance(result, Tensor) or not result.is_floating_point():
            found = f"{result.dtype}" if isinstance(result, Tensor) else f"an object of type {type(result).__name__}"
            raise CheckFailed(f"for {named}, preprocessing gives {found}; return a float tensor of shape (C, H, W).")
        if result.shape != expected.size:
            shape, size = tuple(result.shape), expected.size
            raise CheckFailed(
                f"for {named}, upstream's preprocessing gives images of shape {shape}, but the input has size={size}; "
                "correct the input, or return a tensor without a batch dimension."
            )
        if not result.isfinite().all():
            raise CheckFailed(f"for {named}, upstream's preprocessing gives numbers that are not finite; correct it.")


def _find_place(spec: BackboneSpec) -> str:
    return find_definition(spec.preprocessing) if spec.preprocessing else ""
