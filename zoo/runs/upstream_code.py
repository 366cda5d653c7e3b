"""The lines of a model card that use upstream's model without zoo, if it does not return logits itself."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.plugin import BackboneSpec


def list_imports(backbone: BackboneSpec) -> list[str]:
    """Return the lines that import what the other lines need."""
    return [] if backbone.features is None else ["import torch"]


def list_added_head(backbone: BackboneSpec, num_classes: int) -> list[str]:
    """Return the line that adds the head that upstream's model lacks, so that the file of the run matches it."""
    if backbone.features is None:
        return []
    return [f"model.{_get_name(backbone)} = torch.nn.Linear({backbone.features}, {num_classes})"]


def list_call(backbone: BackboneSpec) -> list[str]:
    """Return the lines of a function that computes the logits, if they are not what the model returns."""
    return [] if backbone.output_field is None and backbone.features is None else [*_define_call(backbone)]


def _define_call(backbone: BackboneSpec) -> Iterator[str]:
    field, returned = backbone.output_field, "model(images)"
    yield from ("", "", "def compute_logits(images):")
    if field is not None:
        yield f"    output = {returned}"
        # The spec does not say whether the output is a mapping, such as a dict, or an object.
        returned = f'output["{field}"] if isinstance(output, dict) else output.{field}'
    if backbone.features is not None:
        yield f"    features = {returned}"
        returned = f"model.{_get_name(backbone)}(features)"
    yield f"    return {returned}"


def _get_name(backbone: BackboneSpec) -> str:
    assert isinstance(backbone.head, tuple), "the spec was checked"
    return backbone.head[0]
