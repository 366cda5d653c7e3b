from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch

from zoo.engine.device import Hardware
from zoo.engine.precision import can_measure, settle_precision
from zoo.models.build import Network, attach_head
from zoo.models.weights.choose import Start
from zoo.plugin import BackboneSpec, Capability
from zoo.progress import Silent
from zoo.registry.recipe import Recipe

CPU = Hardware(torch.device("cpu"), "fp32")
measured = pytest.mark.skipif(not can_measure(CPU), reason="this processor does not compute in bf16")


@dataclass
class Told(Silent):
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        self.lines.append(line)


def make_network(spec: BackboneSpec) -> Network:
    return attach_head(spec, Start("none"), spec.build(None), "linear", 2)


@measured
def test_a_measurement_is_kept_and_decides_every_run_after_it(acme: BackboneSpec, own_cache: Path) -> None:
    network, told = make_network(replace(acme, supports=("bf16",))), Told()
    settle_precision(network, Recipe(), CPU, told)
    (path,) = (own_cache / "speed").glob("*.json")
    for seconds, chosen in (('{"fp32": 2.0, "bf16": 1.0}', "bf16"), ('{"fp32": 1.0, "bf16": 2.0}', "fp32")):
        path.write_text(f'{{"seconds": {seconds}}}')
        assert settle_precision(network, Recipe(), CPU, told).precision == chosen
    assert told.lines[-1] == "precision: fp32, as bf16 takes 2.00 times as long as fp32 here"


@measured
def test_a_damaged_measurement_is_made_again(acme: BackboneSpec, own_cache: Path) -> None:
    network = make_network(replace(acme, supports=("bf16",)))
    settle_precision(network, Recipe(), CPU, Silent())
    (path,) = (own_cache / "speed").glob("*.json")
    path.write_text("{")
    settle_precision(network, Recipe(), CPU, Silent())
    assert path.read_text() != "{"


@measured
def test_learning_more_is_measured_on_its_own(acme: BackboneSpec, own_cache: Path) -> None:
    network = make_network(replace(acme, supports=("bf16",)))
    for train in ("head", "all"):
        settle_precision(network, Recipe(train=train), CPU, Silent())
    assert len(list((own_cache / "speed").glob("*.json"))) == 2


@measured
def test_a_cache_that_cannot_be_written_is_said(
    acme: BackboneSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    told = Told()
    settle_precision(make_network(replace(acme, supports=("bf16",))), Recipe(), CPU, told)
    assert "cannot be kept" in told.lines[0]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_was_asked_for_is_not_measured(acme: BackboneSpec, own_cache: Path, precision: str) -> None:
    network, hardware = make_network(replace(acme, supports=("bf16",))), replace(CPU, precision=precision)
    assert settle_precision(network, Recipe(precision=precision), hardware, Silent()) == hardware
    assert not own_cache.exists() or not list(own_cache.iterdir())


def test_without_the_plugins_claim_it_is_fp32(acme: BackboneSpec) -> None:
    told = Told()
    assert settle_precision(make_network(acme), Recipe(), CPU, told) == CPU
    assert told.lines == []


@pytest.mark.parametrize(
    ("supports", "asked", "chosen"),
    [((), "auto", "fp32"), (("bf16",), "auto", "bf16"), ((), "bf16", "bf16")],
)
def test_a_gpu_computes_in_bf16_only_where_the_plugin_claims_it_or_the_user_asks(
    acme: BackboneSpec, supports: tuple[Capability, ...], asked: str, chosen: str
) -> None:
    network, gpu = make_network(replace(acme, supports=supports)), Hardware(torch.device("cuda"), "bf16")
    assert settle_precision(network, Recipe(precision=asked), gpu, Silent()).precision == chosen
