from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

import pytest

from zoo.testing.isolation.import_probe import ImportProbe, probe_plugin


def probe(shelf: Any, **lines: str) -> ImportProbe:
    """Install a plugin with lines added at the top or the end of its module, and probe it."""
    shelf.add("acme", **lines)
    return probe_plugin("acme", "zoo-acme")


def in_hook(*lines: str) -> str:
    """Return the source of a hook that runs the lines."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"@hookimpl\ndef zoo_datasets():\n    yield photos()\n{body}"


def test_a_good_plugin_has_no_effects_even_if_this_process_has_imported_numpy(shelf: Any) -> None:
    import numpy as np

    assert np.__name__ in sys.modules

    assert drop_places(probe(shelf)) == ImportProbe("", (), ())


def drop_places(found: ImportProbe) -> ImportProbe:
    """Return the effects without the lines that had them."""
    return replace(found, imported="", place="", printed_at="")


@pytest.mark.parametrize(
    "lines",
    [
        {"top": "import numpy"},
        {"top": "try:\n    import numpy\nexcept Exception:\n    pass"},
        {"end": in_hook("import numpy")},
    ],
    ids=["at-the-top", "in-a-try-block", "while-listing"],
)
def test_a_heavy_import_is_recorded(shelf: Any, lines: dict[str, str]) -> None:
    assert drop_places(probe(shelf, **lines)) == ImportProbe("", ("numpy",), ())


@pytest.mark.parametrize(
    ("line", "trace"),
    [
        ("print('noise')", "prints 'noise'"),
        ("import sys; print('noise', file=sys.stderr)", "prints 'noise'"),
        ("import os; os.write(1, b'noise')", "prints 'noise'"),
        ("import os; os.environ['ACME'] = '1'", "changes os.environ"),
        ("import os; os.chdir('/')", "changes the working directory"),
        ("import random; random.seed(0)", "changes Python's random state"),
        (
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "changes the number of running threads",
        ),
    ],
)
def test_other_side_effects_are_recorded(shelf: Any, line: str, trace: str) -> None:
    assert drop_places(probe(shelf, end=in_hook(line))) == ImportProbe("", (), (trace,))


def test_all_side_effects_of_the_import_are_recorded(shelf: Any) -> None:
    found = probe(shelf, top="import os, random\nos.environ['ACME'] = '1'\nrandom.seed(0)\nprint('noise')")
    assert found.traces == ("changes os.environ", "changes Python's random state", "prints 'noise'")


def test_a_thread_that_never_ends_does_not_block_the_probe(shelf: Any) -> None:
    found = probe(shelf, top="import threading\nthreading.Thread(target=threading.Event().wait).start()")
    assert drop_places(found) == ImportProbe("", (), ("changes the number of running threads",))


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ({"top": "raise ValueError('first\\nsecond')"}, "ValueError: first second (kit_zoo_acme.py:1)"),
        ({"top": "import sys\nsys.exit(3)"}, "SystemExit: 3 (kit_zoo_acme.py:2)"),
        ({"top": "import nowhere_at_all"}, "ModuleNotFoundError: No module named 'nowhere_at_all'"),
    ],
)
def test_an_error_is_reported_with_its_location(shelf: Any, lines: dict[str, str], error: str) -> None:
    found = probe(shelf, **lines)
    assert re.sub(r"/\S*/", "", found.error).startswith(error)
    assert "\n" not in found.error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("import os; os._exit(3)", "it ends the process with exit code 3"),
        ("raise BaseException('why')", "why"),
    ],
)
def test_the_end_of_the_interpreter_is_reported(shelf: Any, line: str, message: str) -> None:
    found = probe(shelf, top=line)
    assert found.error.startswith("it ends the process with exit code ")
    assert message in found.error
    assert (found.heavy, found.traces) == ((), ())


def test_an_error_in_a_hook_is_not_an_import_error_and_hides_nothing(shelf: Any) -> None:
    found = probe(shelf, end=in_hook("import numpy", "print('noise')", "raise OSError('disk')"))
    assert drop_places(found) == ImportProbe("", ("numpy",), ("prints 'noise'",))


def test_an_invalid_spec_is_not_an_import_error(shelf: Any) -> None:
    shelf.add("acme", "spec(params=0)", end="SPEC = spec(license='')")
    assert probe_plugin("acme", "zoo-acme") == ImportProbe("", (), ())
