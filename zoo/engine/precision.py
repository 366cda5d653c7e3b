"""The precision of a run: what was asked for, or bfloat16 where both the device and the backbone support it."""

from __future__ import annotations

from dataclasses import replace

import torch

from zoo.engine.device import Hardware
from zoo.plugin import BackboneSpec


def computes_bf16(device: torch.device) -> bool:
    """Tell whether a device computes in bfloat16 itself; emulated, it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # torch.cpu.get_capabilities is newer than the oldest torch that zoo supports.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001
    return False


def settle_precision(asked: str, backbone: BackboneSpec, hardware: Hardware) -> Hardware:
    """Return the hardware with the precision that a run computes in.

    Args:
        asked: ``auto`` is bf16 if the device computes in it and the plugin declares that the backbone works in it,
            else fp32. It depends on the processor alone, never on a measurement, so that a run can be repeated.
        backbone: that is trained.
        hardware: with the precision that was asked for, if it is not ``auto``.
    """
    if asked != "auto":
        return hardware
    is_bf16 = "bf16" in backbone.supports and computes_bf16(hardware.device)
    return replace(hardware, precision="bf16" if is_bf16 else "fp32")
