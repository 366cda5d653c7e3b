"""Import and list a plugin in a fresh interpreter that allows all imports, and record the effects."""

from __future__ import annotations

import importlib.metadata
import inspect
import io
import json
import logging
import os
import random
import re
import subprocess
import sys
import threading
from contextlib import redirect_stdout, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.errors import PluginError
from zoo.plugin.fields import checks_deferred
from zoo.registry.plugins.isolation import HEAVY, describe_in_one_line
from zoo.registry.plugins.load import load_module
from zoo.registry.plugins.place import find_import
from zoo.testing.results.place import find_caller
from zoo.testing.results.result import describe_with_place

#: Maximum time for importing and listing, in seconds.
PATIENCE = 120.0
_CODE = "from zoo.testing.isolation.import_probe import main; main()"


@dataclass(frozen=True)
class ImportProbe:
    """The effects of importing and listing a plugin."""

    #: Error that the import raised, in one line; empty if the import succeeded.
    error: str
    #: Modules that were imported although they take seconds to import.
    heavy: tuple[str, ...]
    #: Other side effects, in words.
    traces: tuple[str, ...]
    #: The module that the plugin's own code imported first of those that import a heavy one, and the file and line.
    imported: str = ""
    place: str = ""
    #: File and line that printed first.
    printed_at: str = ""
    #: Whether the interpreter finished and reported.
    survives: bool = True


def probe_plugin(namespace: str, distribution: str) -> ImportProbe:
    """Import a plugin's module and list its backbones and data sets in a fresh interpreter."""
    with TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-P", "-c", _CODE, namespace, distribution, str(report)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        try:
            done = subprocess.run(  # noqa: S603  # our own module
                command,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return ImportProbe(f"it did not finish within {PATIENCE:.0f} seconds", (), (), survives=False)
        if not report.exists():
            ended = f"it ends the process with exit code {done.returncode}: {done.stderr.strip()[-200:]}"
            return ImportProbe(ended, (), (), survives=False)
        found = json.loads(report.read_text(encoding="utf-8"))
    printed = (done.stdout + done.stderr).strip()
    traces = [*found["traces"], *([f"prints {printed[:80]!r}"] if printed else [])]
    heavy, imported, place = tuple(found["heavy"]), found["imported"], found["place"]
    return ImportProbe(found["error"], heavy, tuple(traces), imported, place, found["printed_at"])


def probe_here(namespace: str, distribution: str) -> ImportProbe:
    """Import and list the plugin in this interpreter."""
    entry_points = importlib.metadata.distribution(distribution).entry_points
    entry_point = entry_points.select(group="zoo", name=namespace)[namespace]
    before = _read_state()
    error, observer, printed = "", _HeavyImports(), _Printed()
    sys.meta_path.insert(0, observer)
    try:
        with checks_deferred(), redirect_stdout(printed):
            module = load_module(entry_point)
            for hook in ("zoo_backbones", "zoo_datasets", "zoo_data_sources"):
                with suppress(Exception):  # Other checks report errors in hooks.
                    _exhaust(getattr(module, hook, list)())
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # a plugin may raise anything
        described = describe_in_one_line(raised)
        error = described if isinstance(raised, PluginError) else describe_with_place(raised, find_package(entry_point))
    after = _read_state()
    traces = tuple(f"changes {what}" for what, value in before.items() if after[what] != value)
    return ImportProbe(error, tuple(sorted(HEAVY & sys.modules.keys())), traces, *observer.first, printed.place)


class _Printed(io.StringIO):
    """What a plugin prints, which is passed on; the place that prints first is remembered."""

    place = ""

    def write(self, text: str) -> int:
        self.place = self.place or find_caller()
        return (sys.__stdout__ or sys.stderr).write(text)


class _HeavyImports:
    """A finder that finds nothing, and remembers which import of the plugin first leads to a heavy module."""

    first: tuple[str, str] = ("", "")

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> None:
        if fullname in HEAVY and not self.first[0]:
            self.first = find_import(fullname)


def _exhaust(result: Any) -> None:
    """List what a hook returns; close a coroutine, which would print a warning."""
    if inspect.iscoroutine(result):
        result.close()
    else:
        list(result)


def find_package(entry_point: importlib.metadata.EntryPoint) -> str:
    """Return the top-level package that an entry point names; ``entry_point.module`` fails for a malformed value."""
    return re.split(r"\W", entry_point.value, maxsplit=1)[0]


def _read_state() -> dict[str, object]:
    return {
        "os.environ": dict(os.environ),
        "the working directory": str(Path.cwd()),
        "Python's random state": random.getstate(),
        "the number of running threads": threading.active_count(),
        "the root logger": (logging.root.level, len(logging.root.handlers)),
    }


def main() -> None:
    """Probe the plugin, and write the report to a file, because the plugin may print to stdout."""
    namespace, distribution, report = sys.argv[1:]
    Path(report).write_text(json.dumps(asdict(probe_here(namespace, distribution))), encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # A plugin may have closed the stream.
            stream.flush()
    os._exit(0)  # A plugin's threads may never end.
