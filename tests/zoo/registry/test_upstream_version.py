"""Notes about a backbone that was declared for a different version of upstream."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from made_registries import make_backbone
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


def install(folder: Path, name: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


def note(upstream: str | None) -> tuple[str, ...]:
    plugin = Plugin("acme", "zoo-acme", "1.0", backbones=(make_backbone("acme/net", upstream=upstream),))
    return Registry([plugin], RegistryToml()).resolve("acme/net").notes


def test_the_same_version_of_upstream_needs_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.2", monkeypatch)
    assert note("upstreamlib==1.2") == ()
    assert note(None) == ()


def test_a_patch_release_of_upstream_needs_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.2.9", monkeypatch)
    assert note("upstreamlib==1.2.0") == ()


def test_a_different_minor_version_of_upstream_is_noted_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "upstreamlib", "1.3", monkeypatch)
    (line,) = note("upstreamlib==1.2")
    assert "acme/net" in line
    assert "upstreamlib 1.2" in line
    assert "1.3 is installed" in line
    assert "`zoo check acme/net`" in line


def test_a_missing_upstream_is_noted_with_a_remedy() -> None:
    (line,) = note("not-installed-anywhere==1.2")
    assert "pip install not-installed-anywhere" in line


def test_a_local_build_is_the_same_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.2+cpu", monkeypatch)
    assert note("upstreamlib==1.2") == ()
    assert note("upstreamlib==1.2+cpu") == ()
