"""The code of a model card: it loads the file of a run into upstream's model and computes logits, without zoo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import dropwhile, takewhile

from zoo.plugin import BackboneSpec
from zoo.plugin.capabilities import list_first_convs
from zoo.plugin.constructor import list_lines
from zoo.progress.printable import make_printable
from zoo.runs.folder import MODEL

#: Name of the function that the code defines if the model does not return logits itself.
CALL = "compute_logits"


def list_code(backbone: BackboneSpec, num_classes: int, size: tuple[int, int, int]) -> list[str]:
    """Return the lines of code, which assign ``model``, and define ``compute_logits`` if the model returns no logits.

    Args:
        backbone: The backbone, which has a constructor.
        num_classes: Number of classes of the run.
        size: Channels, height and width of the run's input.
    """
    assert backbone.constructor is not None, "the caller checks it"
    lines = [make_printable(line) for line in list_lines(backbone.constructor, num_classes, size[1])]
    imports = list(takewhile(lambda line: line.startswith(("import ", "from ")), lines))
    rest = dropwhile(lambda line: not line.strip(), lines[len(imports) :])
    adapt, head = [*_adapt(backbone, size[0])], [*_add_head(backbone, num_classes)]
    return [
        *dict.fromkeys([*imports, *(["import torch"] if adapt or head else [])]),
        "from safetensors.torch import load_file",
        "",
        *rest,
        *head,
        *adapt,
        f'model.load_state_dict(load_file("{MODEL}"))',
        "model.eval()",
        *_define_call(backbone),
    ]


def has_call(backbone: BackboneSpec) -> bool:
    """Return whether the code defines ``compute_logits``, because the model does not return logits itself."""
    return backbone.output_field is not None or backbone.features is not None


def _adapt(backbone: BackboneSpec, channels: int) -> Iterator[str]:
    """Yield the lines that adapt upstream's model to the channels of the run, if it has others."""
    if channels == backbone.input.size[0]:
        return
    for path in list_first_convs(backbone):
        yield f"conv = model.get_submodule({make_printable(json.dumps(path))})"
        yield f"conv.weight = torch.nn.Parameter(conv.weight[:, :1].repeat(1, {channels}, 1, 1))"


def _add_head(backbone: BackboneSpec, num_classes: int) -> Iterator[str]:
    """Yield the line that adds the head that upstream's model lacks, so that the file of the run matches it."""
    if backbone.features is not None:
        yield f"model.{_get_name(backbone)} = torch.nn.Linear({backbone.features}, {num_classes})"


def _define_call(backbone: BackboneSpec) -> Iterator[str]:
    if not has_call(backbone):
        return
    field, returned = backbone.output_field, "model(images)"
    yield from ("", "", f"def {CALL}(images):")
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
