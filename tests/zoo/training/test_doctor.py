"""The findings of the doctor about versions, devices, caches and plugins."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch

from zoo.files.versions import read_version
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml
from zoo.training import doctor
from zoo.training.doctor import Finding, examine_installation


def find(findings: list[Finding], text: str) -> Finding:
    (found,) = [finding for finding in findings if text in finding.fact]
    return found


def test_a_working_installation_is_ok(registry: Registry) -> None:
    findings = examine_installation(registry)
    assert {finding.about for finding in findings} == {"versions", "device", "images", "cache", "plugin"}
    assert find(findings, f"zoo {read_version('zoo')}").is_ok
    assert find(findings, "acme (zoo-acme 1.0): 1 backbone").is_ok


def test_a_broken_plugin_is_reported_with_the_reason(registry: Registry) -> None:
    (plugin,) = registry.plugins
    broken = dataclasses.replace(plugin, state="broken", reason="it raised", backbones=())
    finding = find(examine_installation(Registry([broken], RegistryToml())), "acme")
    assert not finding.is_ok
    assert finding.fact.endswith("is broken: it raised")


def test_without_plugins_there_is_advice_to_install_one() -> None:
    finding = find(examine_installation(Registry([], RegistryToml())), "no plugin")
    assert not finding.is_ok
    assert finding.advice == "pip install plugins/zoo-torchvision"


def test_a_nearly_full_disk_is_reported(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_ROOM", shutil.disk_usage("/").total * 10**3)
    finding = find(examine_installation(registry), "GiB free in")
    assert not finding.is_ok
    assert "zoo cache clear" in (finding.advice or "")


def test_a_missing_decoder_is_reported(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(examine_installation(registry), "JPEG is decoded by torchvision's").is_ok
    monkeypatch.setattr(doctor, "find_jpeg_decoder", lambda: None)
    finding = find(examine_installation(registry), "JPEG is decoded by Pillow")
    assert not finding.is_ok
    assert torch.__version__ in (finding.advice or "")


def test_a_missing_package_is_reported(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("zoo", "no-such-package"))
    finding = find(examine_installation(registry), "no-such-package is not installed")
    assert finding.advice == "pip install no-such-package"


def test_nothing_is_written(registry: Registry, own_cache: Path) -> None:
    examine_installation(registry)
    assert list(own_cache.iterdir()) == []


def test_a_disabled_plugin_is_ok() -> None:
    plugin = Plugin("acme", "zoo-acme", "1.0", state="disabled", reason="switched off")
    assert find(examine_installation(Registry([plugin], RegistryToml())), "acme").is_ok
