"""The config.json with which timm loads a folder: ``timm.create_model("local-dir:FOLDER", pretrained=True)``."""

from __future__ import annotations

import math
import re
from typing import Any

from zoo.models.weights.choose import input_for
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec, InputSpec

_CONSTRUCTOR = re.compile(r'timm\.create_model\("([\w.]+)", num_classes=\{num_classes\}\)')


def find_architecture(backbone: BackboneSpec, head: str) -> str | None:
    """Return the name with which timm builds a backbone with this head, or None if timm has no such model."""
    found = _CONSTRUCTOR.fullmatch(backbone.constructor or "")
    return found[1] if found and head == "linear" and backbone.features is None else None


def build_config(architecture: str, header: Header, backbone: BackboneSpec) -> dict[str, Any]:
    """Return the content of config.json.

    Args:
        architecture: timm's name of the architecture.
        header: Header of the model.
        backbone: The backbone.
    """
    given, channels = header.input, header.input.size[0]
    is_adapted = channels != input_for(backbone, header.tag).size[0]
    return {
        "architecture": architecture,
        **({"model_args": {"in_chans": channels}} if is_adapted else {}),
        "num_classes": len(header.classes),
        "label_names": list(header.classes),
        "pretrained_cfg": {
            "tag": "zoo",
            "custom_load": False,
            "input_size": list(given.size),
            # The file has the weights for these channels, so timm must not adapt them again.
            **({"first_conv": None} if is_adapted else {}),
            "fixed_input_size": "image_sizes" in backbone.unsupported,
            "interpolation": given.interpolation,
            "crop_pct": _find_fraction(given),
            "crop_mode": given.crop,
            "mean": list(given.mean),
            "std": list(given.std),
            "num_classes": len(header.classes),
        },
    }


def _find_fraction(given: InputSpec) -> float:
    """Return the ``crop_pct`` with which timm, which rounds down, resizes to the same number of pixels."""
    side = given.size[1]
    fraction = side / given.resize
    while math.floor(side / fraction) < given.resize:
        fraction = math.nextafter(fraction, 0)
    return fraction
