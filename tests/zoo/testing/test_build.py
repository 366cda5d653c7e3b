from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.testing.checks.build import call_constructor


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with a function that has the name of its module, as torchvision.models.alexnet does."""
    (tmp_path / "kit_nets").mkdir()
    (tmp_path / "kit_nets" / "__init__.py").write_text("from kit_nets.small import small\n")
    (tmp_path / "kit_nets" / "small.py").write_text("def small(*sizes, **options):\n    return sizes, options\n")
    (tmp_path / "kit_nets" / "large.py").write_text("class Large:\n    build = staticmethod(lambda size: size)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "kit_nets"
    for name in [name for name in sys.modules if name.startswith("kit_nets")]:
        del sys.modules[name]


def test_a_constructor_is_a_function_even_if_a_module_has_its_name(package: str) -> None:
    assert call_constructor(f"{package}.small(2, (3, 4), deep=True)") == ((2, (3, 4)), {"deep": True})


def test_a_constructor_may_be_in_a_module_that_is_not_imported_yet_and_in_a_class(package: str) -> None:
    assert call_constructor(f"{package}.large.Large.build(5)") == 5


def test_a_constructor_takes_only_literals(package: str) -> None:
    with pytest.raises(ValueError, match="malformed node"):
        call_constructor(f"{package}.small(print('no'))")
