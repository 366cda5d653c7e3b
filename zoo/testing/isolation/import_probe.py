"""Import and list a plugin in a fresh interpreter that allows all imports, and record the effects."""

from __future__ import annotations

import importlib.metadata
import json
import os
import random
import re
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from zoo.plugin.fields import checks_deferred
from zoo.registry.plugins.isolation import HEAVY
from zoo.registry.plugins.load import load_module
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
    return ImportProbe(found["error"], tuple(found["heavy"]), tuple(traces))


def probe_here(namespace: str, distribution: str) -> ImportProbe:
    """Import and list the plugin in this interpreter."""
    entry_points = importlib.metadata.distribution(distribution).entry_points
    entry_point = entry_points.select(group="zoo", name=namespace)[namespace]
    before = _read_state()
    error = ""
    try:
        with checks_deferred():
            module = load_module(entry_point)
            for hook in ("zoo_backbones", "zoo_datasets", "zoo_data_sources"):
                with suppress(Exception):  # Other checks report errors in hooks.
                    list(getattr(module, hook, list)())
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # a plugin may raise anything
        error = describe_with_place(raised, find_package(entry_point))
    after = _read_state()
    traces = tuple(f"changes {what}" for what, value in before.items() if after[what] != value)
    return ImportProbe(error, tuple(sorted(HEAVY & sys.modules.keys())), traces)


def find_package(entry_point: importlib.metadata.EntryPoint) -> str:
    """Return the top-level package that an entry point names; ``entry_point.module`` fails for a malformed value."""
    return re.split(r"\W", entry_point.value, maxsplit=1)[0]


def _read_state() -> dict[str, object]:
    return {
        "os.environ": dict(os.environ),
        "the working directory": str(Path.cwd()),
        "Python's random state": random.getstate(),
        "the number of running threads": threading.active_count(),
    }


def main() -> None:
    """Probe the plugin, and write the report to a file, because the plugin may print to stdout."""
    namespace, distribution, report = sys.argv[1:]
    Path(report).write_text(json.dumps(asdict(probe_here(namespace, distribution))), encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # A plugin may have closed the stream.
            stream.flush()
    os._exit(0)  # A plugin's threads may never end.
