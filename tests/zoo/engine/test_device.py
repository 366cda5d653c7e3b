from __future__ import annotations

from contextlib import suppress

import pytest
import torch

from zoo.engine.device import Hardware, allowing_tf32, choose_hardware, place, plan_loading, seed_generators
from zoo.errors import OptionError
from zoo.plugin import BackboneSpec

CPU = torch.device("cpu")
AVAILABLE = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
UNAVAILABLE = [kind for kind, is_available in AVAILABLE.items() if not is_available]


def test_a_cpu_computes_in_fp32_by_default() -> None:
    assert choose_hardware("cpu") == Hardware(CPU, "fp32")
    assert choose_hardware("cpu", "bf16") == Hardware(CPU, "bf16")


def test_auto_chooses_the_best_available_device() -> None:
    best = next(kind for kind in ("cuda", "mps", "cpu") if AVAILABLE[kind])
    assert choose_hardware().device.type == best


def test_fp16_on_a_cpu_is_an_error() -> None:
    with pytest.raises(OptionError, match="fp16 needs a GPU"):
        choose_hardware("cpu", "fp16")


@pytest.mark.parametrize("kind", UNAVAILABLE)
def test_an_unavailable_device_is_an_error_that_lists_the_available_ones(kind: str) -> None:
    with pytest.raises(OptionError, match=rf"{kind.upper()} is not available; available: cpu"):
        choose_hardware(kind)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_autocast_uses_the_precision_and_parameters_stay_fp32(precision: str, dtype: torch.dtype) -> None:
    layer = torch.nn.Linear(2, 2)
    with choose_hardware("cpu", precision).autocast():
        assert layer(torch.ones(1, 2)).dtype == dtype
    assert layer.weight.dtype == torch.float32


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_only_fp16_scales_gradients(precision: str) -> None:
    assert not choose_hardware("cpu", precision).build_scaler().is_enabled()


def test_a_placed_model_is_channels_last_and_computes_the_same(acme: BackboneSpec) -> None:
    torch.manual_seed(0)
    model = acme.build(None).eval()
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        expected = model(images)
        place(model, choose_hardware("cpu"))
        torch.testing.assert_close(model(images.to(memory_format=torch.channels_last)), expected)
    assert model.get_submodule("stem.0").weight.is_contiguous(memory_format=torch.channels_last)


def test_loader_options_are_as_requested_and_pin_memory_only_for_cuda() -> None:
    loading = plan_loading(Hardware(CPU, "fp32"), batch_size=7, workers=0)
    assert (loading.batch_size, loading.workers, loading.pin_memory) == (7, 0, False)
    assert plan_loading(Hardware(torch.device("cuda"), "bf16"), batch_size=7, workers=3).pin_memory
    assert 1 <= plan_loading(Hardware(CPU, "fp32"), batch_size=7).workers <= 4


@pytest.mark.parametrize("can_start", [False, True])
def test_only_a_gpu_gets_processes_and_only_if_they_can_be_started(
    monkeypatch: pytest.MonkeyPatch, *, can_start: bool
) -> None:
    monkeypatch.setattr("zoo.engine.device.can_start_processes", lambda: can_start)
    assert plan_loading(Hardware(torch.device("cuda"), "bf16"), batch_size=7).use_processes == can_start
    assert not plan_loading(Hardware(CPU, "fp32"), batch_size=7).use_processes


@pytest.mark.parametrize(
    ("kind", "precision", "matmul_precision"),
    [("cuda", "bf16", "high"), ("cuda", "fp32", "highest"), ("cpu", "bf16", "highest")],
)
def test_tf32_is_used_only_on_a_gpu_and_only_with_bf16_or_fp16(
    kind: str, precision: str, matmul_precision: str
) -> None:
    with allowing_tf32(Hardware(torch.device(kind), precision)):
        assert torch.get_float32_matmul_precision() == matmul_precision
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_matmul_precision_is_restored_after_an_error() -> None:
    with suppress(ZeroDivisionError), allowing_tf32(Hardware(torch.device("cuda"), "bf16")):
        raise ZeroDivisionError
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("kind", [kind for kind, is_available in AVAILABLE.items() if is_available])
def test_a_seed_gives_the_random_numbers_of_torchs_manual_seed(kind: str) -> None:
    device = torch.device(kind)
    torch.manual_seed(5)
    wanted = torch.rand(3), torch.rand(3, device=device)
    seed_generators(5, device)
    assert torch.equal(torch.rand(3), wanted[0])
    assert torch.equal(torch.rand(3, device=device), wanted[1])
