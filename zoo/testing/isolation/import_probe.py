"""What importing and listing a plugin does to an interpreter: seen in a fresh one, where nothing is held back."""

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
from zoo.registry.isolation import HEAVY
from zoo.registry.load_plugin import load_module
from zoo.testing.results.result import describe_with_place

#: Seconds that importing and listing may take.
PATIENCE = 120.0
_CODE = "from zoo.testing.isolation.import_probe import main; main()"


@dataclass(frozen=True)
class Probed:
    """What a fresh interpreter saw."""

    #: What importing raised, in one line; empty where it did not.
    error: str
    #: Modules that take seconds to import, and were imported.
    heavy: tuple[str, ...]
    #: What it did besides, in words.
    traces: tuple[str, ...]
    #: Whether the interpreter lived to tell.
    survives: bool = True


def probe_plugin(namespace: str, distribution: str) -> Probed:
    """Import a plugin's module and list what it has, in an interpreter of its own."""
    with TemporaryDirectory() as folder:
        answer = Path(folder, "answer.json")
        command = [sys.executable, "-P", "-c", _CODE, namespace, distribution, str(answer)]
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
            return Probed(f"it was not done after {PATIENCE:.0f} seconds", (), (), survives=False)
        if not answer.exists():
            ended = f"it ends the process with {done.returncode}: {done.stderr.strip()[-200:]}"
            return Probed(ended, (), (), survives=False)
        found = json.loads(answer.read_text(encoding="utf-8"))
    printed = (done.stdout + done.stderr).strip()
    traces = [*found["traces"], *([f"prints {printed[:80]!r}"] if printed else [])]
    return Probed(found["error"], tuple(found["heavy"]), tuple(traces))


def probe_here(namespace: str, distribution: str) -> Probed:
    """Import and list in this interpreter."""
    before = _look_around()
    error = ""
    try:
        with checks_deferred():
            module = load_module(_find_entry_point(namespace, distribution))
            for hook in ("zoo_backbones", "zoo_datasets"):
                with suppress(Exception):  # what is wrong with what it lists is another check's business
                    list(getattr(module, hook, list)())
    except (Exception, SystemExit) as raised:  # noqa: BLE001  # whatever a plugin raises is the answer
        error = describe_with_place(raised, find_package(_find_entry_point(namespace, distribution)))
    after = _look_around()
    traces = tuple(f"changes {what}" for what, value in before.items() if after[what] != value)
    return Probed(error, tuple(sorted(HEAVY & sys.modules.keys())), traces)


def _find_entry_point(namespace: str, distribution: str) -> importlib.metadata.EntryPoint:
    entry_points = importlib.metadata.distribution(distribution).entry_points
    return entry_points.select(group="zoo", name=namespace)[namespace]


def find_package(entry_point: importlib.metadata.EntryPoint) -> str:
    """Return the top-level package that an entry point names; its own property fails if the value is malformed."""
    return re.split(r"\W", entry_point.value, maxsplit=1)[0]


def _look_around() -> dict[str, object]:
    return {
        "os.environ": dict(os.environ),
        "the working folder": str(Path.cwd()),
        "Python's random numbers": random.getstate(),
        "the running threads": threading.active_count(),
    }


def main() -> None:
    """Answer the process that asked, in a file: what a plugin prints is not the answer."""
    namespace, distribution, answer = sys.argv[1:]
    Path(answer).write_text(json.dumps(asdict(probe_here(namespace, distribution))), encoding="utf-8")
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a plugin may have closed it
            stream.flush()
    os._exit(0)  # threads that it started may never end
