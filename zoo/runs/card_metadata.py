"""The YAML front matter of a model card, from which the Hugging Face Hub reads the license, the task and the results.

Source: https://github.com/huggingface/hub-docs/blob/main/modelcard.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.plugin import BackboneSpec
from zoo.progress.printable import make_printable
from zoo.runs.export.timm_config import find_architecture

_TASK = "image-classification"
_REFERENCE = "licenseref-"
#: A repository of the Hub, at the start of the address of weights or of a data set.
_HUB_WEIGHTS = re.compile(r"hf://([\w.-]+/[\w.-]+?)(@[^/]+)?/")
_HUB_DATA = re.compile(r"hf:([\w.-]+/[\w.-]+)")


def format_front_matter(facts: Mapping[str, Any], backbone: BackboneSpec) -> str:
    """Return the front matter, with the lines that enclose it. Every value is JSON, which is also YAML."""
    lines = [f"{name}: {_format(value)}" for name, value in _list_fields(facts, backbone)]
    return "\n".join(["---", *lines, "---", "", ""])


def _format(value: Any) -> str:
    return json.dumps(_make_printable(value), ensure_ascii=False, allow_nan=False)


def _make_printable(value: Any) -> Any:
    """Escape all text, because YAML does not allow all characters that JSON allows."""
    if isinstance(value, str):
        return make_printable(value)
    if isinstance(value, list):
        return [_make_printable(item) for item in value]
    return {name: _make_printable(item) for name, item in value.items()} if isinstance(value, dict) else value


def _list_fields(facts: Mapping[str, Any], backbone: BackboneSpec) -> Iterator[tuple[str, Any]]:
    yield from _list_license(facts["weights"].get("license"))
    yield "library_name", "timm" if find_architecture(backbone, facts["recipe"]["head"]) else "zoo-backbones"
    yield "pipeline_tag", _TASK
    if found := _HUB_WEIGHTS.match(facts["weights"].get("url") or ""):
        yield "base_model", found[1]
    if found := _HUB_DATA.match(facts["data"]["asked"]):
        yield "datasets", [found[1]]
    yield "metrics", ["accuracy"]
    name = f"{facts['backbone'].rpartition('/')[2]} for {len(facts['classes'])} classes"
    yield "model-index", [{"name": name, "results": list(_list_results(facts))}]


def _list_license(license: str | None) -> Iterator[tuple[str, str]]:
    """List the Hub's fields for an SPDX identifier. Weights without a license have no fields."""
    plain = (license or "").lower()
    if plain.startswith(_REFERENCE):
        yield "license", "other"
        yield "license_name", plain.removeprefix(_REFERENCE)
    elif plain:
        yield "license", plain


def _list_results(facts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    accuracies = {"validation": facts["best"]["val_accuracy"], "test": (facts.get("test") or {}).get("accuracy")}
    # The folders above the data are nobody else's business.
    data = facts["data"]["asked"].rstrip("/\\").replace("\\", "/").rpartition("/")[2] or "images"
    found = _HUB_DATA.match(facts["data"]["asked"])
    for split, accuracy in accuracies.items():
        if accuracy is not None:
            yield {
                "task": {"type": _TASK},
                "dataset": {"name": data, "type": found[1] if found else "imagefolder", "split": split},
                "metrics": [{"type": "accuracy", "value": accuracy}],
            }
