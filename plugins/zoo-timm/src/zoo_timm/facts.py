"""What holds for all of timm, and needs no timm to be said."""

from __future__ import annotations

#: SPDX identifier of timm's code.
CODE_LICENCE = "Apache-2.0"
#: The name under which timm's hub loader looks first (``timm/models/_hub.py``).
HUB_FILE = "model.safetensors"


def hub_url(hub_id: str, file: str | None = None) -> str:
    """Give the address of a weights file on the hub."""
    return f"hf://{hub_id}/{file or HUB_FILE}"


def constructor(name: str) -> str:
    """Give the expression that builds an architecture without zoo; timm takes the image size from its own cfg."""
    return f'timm.create_model("{name}", num_classes={{num_classes}})'
