from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from zoo.files.versions import read_version
from zoo.plugin import BackboneSpec
from zoo.plugin.fields import checks_deferred
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.results import fingerprint
from zoo.testing.results.fingerprint import Fingerprints, digest_code

PLUGIN = PluginUnderTest("acme", "zoo-tiny", "1.0")  # a distribution that is installed


def test_results_depend_on_the_versions_of_zoo_the_plugin_torch_and_upstream(acme: BackboneSpec) -> None:
    upstream = dataclasses.replace(acme, upstream="pluggy==0.1")
    names = {"zoo", "zoo-tiny", "torch"}
    fingerprints = Fingerprints(PLUGIN)
    assert fingerprints.find(acme).versions.keys() == names
    # The installed version, and not the declared one.
    assert fingerprints.find(upstream).versions == {name: read_version(name) for name in {*names, "pluggy"}}


@pytest.mark.parametrize(
    ("upstream", "more"), [("not-installed-at-all==1.0", {"not-installed-at-all": ""}), ("", {"": ""}), (3, {})]
)
def test_an_upstream_that_is_not_there_has_no_version_and_is_no_error(
    acme: BackboneSpec, upstream: Any, more: dict[str, str]
) -> None:
    with checks_deferred():
        spec = dataclasses.replace(acme, upstream=upstream)
    fingerprints = Fingerprints(PLUGIN)
    assert fingerprints.find(spec).versions == {**fingerprints.find(acme).versions, **more}


# Code.


def install(folder: Path, *names: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Let modules be as if they were imported from there; returns the last one."""
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
        (["kit_code/catalogue.json", "kit_code/__init__.py"], ["kit_code"]),
        (["kit_space/code/__init__.py", "kit_space/code/net.py"], ["kit_space", "kit_space.code"]),
    ],
    ids=["module", "package", "module-in-a-package", "data", "namespace-package"],
)
def test_code_is_another_when_a_file_of_it_changes_comes_or_goes(
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


def test_code_is_the_same_in_another_folder_and_whatever_lies_beside_it(
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


def test_a_large_file_is_not_read_but_when_it_was_written_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "LARGE", 10)
    write(tmp_path, "kit_code/__init__.py")
    large = write(tmp_path, "kit_code/net.safetensors", "weights, say")
    module = install(tmp_path, "kit_code", monkeypatch=monkeypatch)
    os.utime(large, (1, 1))
    before = digest_code(module)
    large.write_text("others, well")
    os.utime(large, (1, 1))
    assert digest_code(module) == before
    os.utime(large, (2, 2))
    assert digest_code(module) != before


def test_results_depend_on_the_code_of_zoo_and_of_the_plugin_as_it_was_at_first(shelf: Any) -> None:
    shelf.add("acme")
    plugin = examine("acme")
    (backbone,) = plugin.backbones
    fingerprints = Fingerprints(plugin)
    code = fingerprints.find(backbone).code
    assert code.keys() == {"zoo", "zoo-acme"}
    with (shelf.folder / "kit_zoo_acme.py").open("a") as file:
        file.write("# more\n")
    assert fingerprints.find(backbone).code == code
    later = Fingerprints(plugin).find(backbone).code
    assert later == {**code, "zoo-acme": later["zoo-acme"]} != code
