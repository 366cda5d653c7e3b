from __future__ import annotations

import sys
from typing import Any

import pytest

from zoo.testing.isolation.import_probe import ImportProbe, probe_plugin


def probe(shelf: Any, **lines: str) -> ImportProbe:
    """Install a plugin with these lines at the top or the end of its module, and probe it."""
    shelf.add("acme", **lines)
    return probe_plugin("acme", "zoo-acme")


def in_hook(*lines: str) -> str:
    """Return a hook that runs the lines while it lists."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"@hookimpl\ndef zoo_datasets():\n    yield photos()\n{body}"


def test_of_a_good_plugin_there_is_nothing_to_say_whatever_this_process_has_imported(shelf: Any) -> None:
    import numpy as np

    assert np.__name__ in sys.modules

    assert probe(shelf) == ImportProbe("", (), ())


@pytest.mark.parametrize(
    "lines",
    [
        {"top": "import numpy"},
        {"top": "try:\n    import numpy\nexcept Exception:\n    pass"},
        {"end": in_hook("import numpy")},
    ],
    ids=["at-its-top", "hidden", "while-it-lists"],
)
def test_a_heavy_import_is_seen(shelf: Any, lines: dict[str, str]) -> None:
    assert probe(shelf, **lines) == ImportProbe("", ("numpy",), ())


@pytest.mark.parametrize(
    ("line", "trace"),
    [
        ("print('noise')", "prints 'noise'"),
        ("import sys; print('noise', file=sys.stderr)", "prints 'noise'"),
        ("import os; os.write(1, b'noise')", "prints 'noise'"),
        ("import os; os.environ['ACME'] = '1'", "changes os.environ"),
        ("import os; os.chdir('/')", "changes the working folder"),
        ("import random; random.seed(0)", "changes Python's random numbers"),
        (
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "changes the running threads",
        ),
    ],
)
def test_what_it_does_besides_is_seen(shelf: Any, line: str, trace: str) -> None:
    assert probe(shelf, end=in_hook(line)) == ImportProbe("", (), (trace,))


def test_what_it_does_at_its_top_is_seen_too_and_all_of_it(shelf: Any) -> None:
    found = probe(shelf, top="import os, random\nos.environ['ACME'] = '1'\nrandom.seed(0)\nprint('noise')")
    assert found.traces == ("changes os.environ", "changes Python's random numbers", "prints 'noise'")


def test_a_thread_that_never_ends_holds_nothing_up(shelf: Any) -> None:
    found = probe(shelf, top="import threading\nthreading.Thread(target=threading.Event().wait).start()")
    assert found == ImportProbe("", (), ("changes the running threads",))


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ({"top": "raise ValueError('first\\nsecond')"}, "ValueError: first second (kit_zoo_acme.py:1)"),
        ({"top": "import sys\nsys.exit(3)"}, "SystemExit: 3 (kit_zoo_acme.py:2)"),
        ({"top": "import nowhere_at_all"}, "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    ],
)
def test_what_it_raises_is_told_with_its_place(shelf: Any, lines: dict[str, str], error: str) -> None:
    found = probe(shelf, **lines)
    assert found.error.startswith(error)
    assert "\n" not in found.error


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import os; os._exit(3)", "it ends the process with 3"),
        ("raise BaseException('why')", "why"),
    ],
)
def test_what_ends_the_interpreter_is_told(shelf: Any, line: str, says: str) -> None:
    found = probe(shelf, top=line)
    assert found.error.startswith("it ends the process with ")
    assert says in found.error
    assert (found.heavy, found.traces) == ((), ())


def test_what_a_hook_raises_is_no_matter_of_importing_and_hides_nothing(shelf: Any) -> None:
    found = probe(shelf, end=in_hook("import numpy", "print('noise')", "raise OSError('disk')"))
    assert found == ImportProbe("", ("numpy",), ("prints 'noise'",))


def test_what_is_wrong_with_a_spec_is_no_matter_of_importing(shelf: Any) -> None:
    shelf.add("acme", "spec(params=0)", end="SPEC = spec(license='')")
    assert probe_plugin("acme", "zoo-acme") == ImportProbe("", (), ())
