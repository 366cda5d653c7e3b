"""Write catalog.json from the installed torchvision: ``python -m zoo_torchvision.make_catalog``.

For each backbone, the file contains the module that defines it, the number of its parameters as built, and its weights,
beginning with the default weights. Only those fields of an input that differ from ``InputSpec()`` are stored. The
``size`` of weights is in bytes, but accurate only to about 525 bytes, because upstream publishes it in MiB with three
decimals.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from zoo.plugin import InputSpec
from zoo_torchvision.catalog import CATALOG
from zoo_torchvision.families import FAMILIES
from zoo_torchvision.model import build_network

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum  # type: ignore[import-untyped]  # torchvision ships no types

#: SPDX identifiers, keyed by the value of ``meta["license"]``. The README explains the license for None.
LICENSES = {
    None: "BSD-3-Clause",
    "https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0",
}


def make_catalog() -> dict[str, Any]:
    """Collect the facts about every classification network that the installed torchvision lists."""
    import torchvision  # type: ignore[import-untyped]  # torchvision ships no types
    from torchvision import models

    return {
        "upstream": f"torchvision=={torchvision.__version__.partition('+')[0]}",
        "backbones": {name: _collect_backbone(name) for name in sorted(models.list_models(module=models))},
    }


def format_catalog(catalog: dict[str, Any]) -> str:
    """Return the catalog as JSON with one set of weights per line, so that diffs are readable."""
    text = json.dumps(catalog, indent=1, allow_nan=False)
    return re.sub(r"\n {5,}", " ", text).replace("\n    }", " }") + "\n"


def _collect_backbone(name: str) -> dict[str, Any]:
    from torchvision import models

    available = models.get_model_weights(name)
    default = available.DEFAULT
    ordered = [default, *(weights for weights in available if weights is not default)]
    module = models.get_model_builder(name).__module__.rpartition(".")[2]
    return {
        "module": module,
        "params": _count_parameters(name, module, default),
        "weights": [_collect_weights(weights) for weights in ordered],
    }


def _count_parameters(name: str, module: str, default: WeightsEnum) -> int:
    """Count the parameters of the built network, since ``meta["num_params"]`` omits the auxiliary heads."""
    from zoo.testing import make_on_meta

    size = _collect_input(default).get("size", InputSpec().size)
    network = make_on_meta(lambda: build_network(name, FAMILIES[module], image_size=size[1], init_weights=True))
    return sum(parameter.numel() for parameter in network.parameters())


def _collect_weights(weights: WeightsEnum) -> dict[str, Any]:
    meta = weights.meta
    prefix = re.search(r"-([0-9a-f]{8,})\.", weights.url)
    accuracy = meta["_metrics"]["ImageNet-1K"]["acc@1"]
    return {
        "tag": weights.name,
        "url": weights.url,
        "sha256": prefix and prefix[1],
        "size": round(meta["_file_size"] * 1024**2),
        "num_classes": len(meta["categories"]) if meta["categories"] else None,
        "accuracy": None if math.isnan(accuracy) else accuracy,
        "license": LICENSES[meta.get("license")],
        "input": _collect_input(weights),
    }


def _collect_input(weights: WeightsEnum) -> dict[str, Any]:
    transforms = weights.transforms()
    (crop,), (resize,) = transforms.crop_size, transforms.resize_size
    found = InputSpec(
        size=(3, crop, crop),
        resize=resize,
        interpolation=transforms.interpolation.value,
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        min_size=max(weights.meta["min_size"]),
    )
    usual = InputSpec()
    values = {field.name: getattr(found, field.name) for field in fields(InputSpec)}
    return {name: value for name, value in values.items() if value != getattr(usual, name)}


if __name__ == "__main__":
    CATALOG.write_text(format_catalog(make_catalog()), encoding="utf-8")
