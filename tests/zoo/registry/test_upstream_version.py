"""Notes about a backbone that was declared for a different version of upstream."""

from __future__ import annotations

import importlib
import sys
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


@pytest.mark.parametrize("declared", [">=1.2,<2", "~=1.2", "==1.*", ">=1.0, !=1.3", "===1.9.0"])
def test_a_version_within_the_range_needs_no_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: str
) -> None:
    install(tmp_path, "upstreamlib", "1.9.0", monkeypatch)
    assert note(f"upstreamlib{declared}") == ()


@pytest.mark.parametrize("version", ["1.9", "2.0", "3.0.1", "2.0.dev1", "odd"])
def test_a_version_outside_the_range_is_noted_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    install(tmp_path, "upstreamlib", version, monkeypatch)
    (line,) = note("upstreamlib>=1.10,<2")
    assert "acme/net was declared for upstreamlib>=1.10,<2, but " in line
    assert f"{version} is installed; run `zoo check acme/net`" in line


def test_an_early_release_can_be_within_the_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.5rc1", monkeypatch)
    assert note("upstreamlib>=1.2,<2") == ()


def test_a_missing_upstream_of_a_range_is_noted_with_the_range() -> None:
    (line,) = note("not-installed-anywhere>=1.2,<2")
    assert "needs not-installed-anywhere, which is not installed; pip install 'not-installed-anywhere>=1.2,<2'" in line


def test_only_a_range_imports_packaging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "upstreamlib", "1.2", monkeypatch)
    for name in [name for name in sys.modules if name.partition(".")[0] == "packaging"]:
        monkeypatch.delitem(sys.modules, name)
    note("upstreamlib==1.2")
    assert "packaging" not in sys.modules
    note("upstreamlib>=1.2")
    assert "packaging" in sys.modules
