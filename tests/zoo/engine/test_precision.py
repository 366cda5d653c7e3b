from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from zoo.engine.device import Hardware
from zoo.engine.precision import choose_precision, computes_bf16
from zoo.plugin import BackboneSpec, Capability

CPU = torch.device("cpu")


@pytest.mark.parametrize("requested", ["fp32", "bf16", "fp16"])
def test_a_requested_precision_is_kept(acme: BackboneSpec, requested: str) -> None:
    assert (
        choose_precision(requested, replace(acme, supports=("bf16",)), Hardware(CPU, requested)).precision == requested
    )


@pytest.mark.parametrize(
    ("native", "amx", "chosen"), [(True, False, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_auto_is_bf16_if_the_cpu_supports_it(
    acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch, *, native: bool, amx: bool, chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert choose_precision("auto", replace(acme, supports=("bf16",)), Hardware(CPU, "fp32")).precision == chosen


@pytest.mark.parametrize(("supports", "chosen"), [((), "fp32"), (("bf16",), "bf16")])
def test_auto_is_bf16_on_a_gpu_only_if_the_plugin_declares_it(
    acme: BackboneSpec, monkeypatch: pytest.MonkeyPatch, supports: tuple[Capability, ...], chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    gpu = Hardware(torch.device("cuda"), "fp32")
    assert choose_precision("auto", replace(acme, supports=supports), gpu).precision == chosen


def test_other_devices_compute_in_fp32() -> None:
    assert not computes_bf16(torch.device("mps"))
