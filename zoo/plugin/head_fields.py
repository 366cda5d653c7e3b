"""The fields of a spec that say what a model returns, where its head is, and what belongs to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from zoo.plugin.fields import are_paths, is_count, is_number, is_text, refuse, require
from zoo.plugin.weights_spec import WeightsSpec


class HeadFields(Protocol):
    """The fields of a spec that describe its head."""

    @property
    def head(self) -> tuple[str, ...] | Callable[..., tuple[str, ...]]:
        """Paths of the last layers, or a function that finds them."""

    @property
    def classifier(self) -> str | None:
        """Path of the module that an MLP head replaces."""

    @property
    def aux_heads(self) -> tuple[str, ...]:
        """Paths of the auxiliary heads."""

    @property
    def aux_weight(self) -> float:
        """Weight of the loss of each auxiliary head."""

    @property
    def head_parameters(self) -> tuple[str, ...]:
        """Names of parameters that belong to the head."""

    @property
    def output_field(self) -> str | None:
        """Field of the output that holds the logits."""

    @property
    def features(self) -> int | None:
        """Number of features that a model without a head returns."""

    @property
    def weights(self) -> tuple[WeightsSpec, ...]:
        """Published weights."""


def check_head_fields(spec: HeadFields) -> None:
    """Check the fields about the head and the output of a backbone.

    Raises:
        PluginError: If a field has an invalid value, or if two of them contradict each other.
    """
    require(
        spec,
        ("classifier", spec.classifier is None or is_text(spec.classifier), "a dotted path, or None"),
        (
            "head",
            callable(spec.head) or (are_paths(spec.head) and spec.head != ()),
            "a nonempty tuple of distinct dotted paths, or a function that takes (model)",
        ),
        ("head_parameters", are_paths(spec.head_parameters), "a tuple of distinct names of parameters"),
        ("output_field", spec.output_field is None or _is_name(spec.output_field), "the name of a field, or None"),
        ("features", spec.features is None or is_count(spec.features), "a positive integer, or None"),
        ("aux_heads", are_paths(spec.aux_heads), "a tuple of distinct dotted paths"),
        ("aux_weight", is_number(spec.aux_weight) and spec.aux_weight >= 0, "a number of at least 0"),
    )
    if spec.output_field is not None and spec.aux_heads:
        refuse(spec, "aux_heads", spec.aux_heads, "(), because the model returns only the output_field")
    if spec.features is not None:
        _check_tower(spec)


def _check_tower(spec: HeadFields) -> None:
    """Check the fields of a model without a head, to which zoo adds one."""
    is_name = isinstance(spec.head, tuple) and len(spec.head) == 1 and _is_name(spec.head[0])
    head = "a tuple of one name without dots, under which zoo adds the head, because features is set"
    require(
        spec,
        ("head", is_name, head),
        ("classifier", spec.classifier is None, "None, because a model with features has no head"),
        ("aux_heads", spec.aux_heads == (), "(), because a model with features has no heads"),
    )
    # If checks are deferred, the weights can be of any type; another check reports it.
    weights = spec.weights if isinstance(spec.weights, tuple) else ()
    tags = [own.tag for own in weights if isinstance(own, WeightsSpec) and own.num_classes is not None]
    if tags:
        refuse(
            spec, "weights", tags, "a tuple of weights with num_classes=None, because a model with features has no head"
        )


def _is_name(value: Any) -> bool:
    return is_text(value) and value.isidentifier()
