from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from zoo.files.versions import read_version
from zoo.plugin import BackboneSpec
from zoo.plugin.fields import checks_deferred
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.results.fingerprint import digest_code, take_fingerprints

PLUGIN = PluginUnderTest("acme", "zoo-tiny", "1.0")  # an installed distribution


def test_results_depend_on_the_versions_of_zoo_the_plugin_torch_and_upstream(acme: BackboneSpec) -> None:
    upstream = dataclasses.replace(acme, name="acme/other", upstream="pluggy==0.1")
    names = {"zoo", "zoo-tiny", "torch"}
    fingerprints = take_fingerprints(PLUGIN, [acme, upstream])
    assert fingerprints["acme/net"].versions.keys() == names
    # The installed version counts, and not the declared one.
    assert fingerprints["acme/other"].versions == {name: read_version(name) for name in {*names, "pluggy"}}


@pytest.mark.parametrize(
    ("upstream", "more"), [("not-installed-at-all==1.0", {"not-installed-at-all": ""}), ("", {}), (3, {})]
)
def test_a_missing_upstream_has_no_version_and_is_not_an_error(
    acme: BackboneSpec, upstream: Any, more: dict[str, str]
) -> None:
    with checks_deferred():
        spec = dataclasses.replace(acme, name="acme/other", upstream=upstream)
    fingerprints = take_fingerprints(PLUGIN, [acme, spec])
    assert fingerprints["acme/other"].versions == {**fingerprints["acme/net"].versions, **more}


# Code.


def install(folder: Path, *names: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Register modules as if they were imported from a folder; return the last one."""
    module = ModuleType("none")
    for name in names:
        module = ModuleType(name)
        file = folder / f"{name.replace('.', '/')}.py"
        file = file.with_suffix("") / "__init__.py" if file.with_suffix("").is_dir() else file
        module.__file__ = str(file) if file.exists() else None
        monkeypatch.setitem(sys.modules, name, module)
    return module


def write(folder: Path, name: str, content: str = "") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["kit_code.py"], ["kit_code"]),
        (["kit_code/__init__.py"], ["kit_code"]),
        (["kit_code/__init__.py", "kit_code/zoo.py", "kit_code/nets/resnet.py"], ["kit_code", "kit_code.zoo"]),
        (["kit_code/catalog.json", "kit_code/__init__.py"], ["kit_code"]),
        (["kit_space/code/__init__.py", "kit_space/code/net.py"], ["kit_space", "kit_space.code"]),
    ],
    ids=["module", "package", "module-in-a-package", "data", "namespace-package"],
)
def test_the_digest_changes_when_a_file_changes_or_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], modules: list[str]
) -> None:
    paths = [write(tmp_path, name, "1") for name in files]
    module = install(tmp_path, *modules, monkeypatch=monkeypatch)
    found = {digest_code(module)}
    for path in paths:
        path.write_text("2")
        found.add(digest_code(module))
    assert len(found) == 1 + len(paths)
    if len(paths) > 1:
        paths[-1].rename(paths[-1].with_name("other.txt"))
        assert digest_code(module) not in found


def test_the_digest_does_not_depend_on_the_folder_or_on_files_beside_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = set()
    for folder in (tmp_path / "here", tmp_path / "there"):
        write(folder, "kit_code/__init__.py")
        module = install(folder, "kit_code", monkeypatch=monkeypatch)
        digests.add(digest_code(module))
        for name in ("other.py", "kit_code/__pycache__/net.pyc", "kit_code/.net.py.swp"):
            write(folder, name)
        digests.add(digest_code(module))
    assert len(digests) == 1


def test_results_depend_on_the_code_of_zoo_and_of_the_plugin(shelf: Any) -> None:
    shelf.add("acme")
    plugin = examine("acme")
    before = take_fingerprints(plugin, plugin.backbones)["acme/net"].code
    assert before.keys() == {"zoo", "zoo-acme"}
    assert take_fingerprints(plugin, plugin.backbones)["acme/net"].code == before
    with (shelf.folder / "kit_zoo_acme.py").open("a") as file:
        file.write("# more\n")
    after = take_fingerprints(plugin, plugin.backbones)["acme/net"].code
    assert after == {**before, "zoo-acme": after["zoo-acme"]} != before
