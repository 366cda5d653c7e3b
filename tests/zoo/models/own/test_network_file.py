"""FILE.py:FUNCTION names the user's own network; the file is run only when the network is built."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from own_networks import write_network
from zoo.errors import OptionError, PluginError
from zoo.models.own.network_file import NetworkFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_network(tmp_path)


def find(reference: str) -> NetworkFile:
    found = NetworkFile.find(reference)
    assert found is not None
    return found


@pytest.mark.parametrize("reference", ["vgg16", "acme/net", "acme/net@V1", "net.py:", "net.py:a.b", "a:b", ""])
def test_other_names_are_not_files(reference: str) -> None:
    assert NetworkFile.find(reference) is None


@pytest.mark.parametrize("function", ["build", "ConvNet"])
def test_a_function_or_a_class_builds_the_network(file: Path, function: str) -> None:
    found = find(f"{file}:{function}")
    assert type(found.build()).__name__ == "ConvNet"
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_file_is_run_only_when_the_network_is_built(tmp_path: Path) -> None:
    file = write_network(tmp_path, "raise SystemExit(7)")
    found = find(f"{file}:build")
    with pytest.raises(PluginError, match=r"net\.py cannot be run: SystemExit: 7 \(.*net\.py:1\)"):
        found.build()


def test_the_file_can_import_its_neighbors_and_define_dataclasses(tmp_path: Path) -> None:
    (tmp_path / "neighbor_of_net.py").write_text("from torch import nn\n", encoding="utf-8")
    code = """
from __future__ import annotations
from dataclasses import dataclass
from neighbor_of_net import nn

@dataclass
class Sizes:
    width: int = 3

def build():
    return nn.Linear(Sizes().width, 2)
"""
    before = [*sys.path]
    find(f"{write_network(tmp_path, code)}:build").build()
    assert sys.path == before


def test_errors_name_the_file_and_what_it_defines(file: Path, tmp_path: Path) -> None:
    for reference, message in (
        (f"{file}:buil", r"net\.py has no function 'buil'; it defines ConvNet, build, fail, number\."),
        (f"{file}:number", r"number in .*net\.py returns a int; it must return an nn\.Module"),
    ):
        with pytest.raises(OptionError, match=message):
            find(reference).build()
    with pytest.raises(PluginError, match=r"net\.py cannot be run: ValueError: no such weights \(.*net\.py:\d+\)"):
        find(f"{file}:fail").build()
    with pytest.raises(OptionError, match=r"absent\.py cannot be read: No such file or directory; pass FILE\.py:FUNC"):
        NetworkFile.find(tmp_path / "absent.py:build")
    with pytest.raises(OptionError, match=r"names no function; add the one that returns the network: .*net\.py:FUNC"):
        NetworkFile.find(file)
