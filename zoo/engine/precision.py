"""The precision of a run: the requested one, or bfloat16 if both the device and the backbone support it."""

from __future__ import annotations

from dataclasses import replace

import torch

from zoo.engine.device import Hardware
from zoo.plugin import BackboneSpec


def computes_bf16(device: torch.device) -> bool:
    """Return whether a device supports bfloat16 natively; emulated bfloat16 is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # The public torch.cpu.get_capabilities is missing from the oldest torch that zoo supports.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001
    return False


def choose_precision(requested: str, backbone: BackboneSpec, hardware: Hardware) -> Hardware:
    """Return the hardware with the precision of the run.

    Args:
        requested: Requested precision. ``auto`` means bf16 if the device supports it natively and the plugin declares
            that the backbone supports it, and fp32 otherwise. The choice does not depend on measured speed, so that a
            run can be repeated.
        backbone: Backbone to train.
        hardware: Hardware that already has the requested precision, unless that is ``auto``.
    """
    if requested != "auto":
        return hardware
    is_bf16 = "bf16" in backbone.supports and computes_bf16(hardware.device)
    return replace(hardware, precision="bf16" if is_bf16 else "fp32")
