"""A note on disk that names the plugin being loaded, so that zoo can later tell which plugin terminated the process.

A plugin can crash the process, exit it or never return, and the process itself then cannot report this. So zoo keeps a
small file with the plugin's name in the cache folder while the plugin is loading. When zoo starts and finds such a file
from a process that has ended, it first loads the plugin in a separate process. If that fails, zoo adds the reason to
the note, and skips the plugin until it changes. If it succeeds, zoo loads the plugin, and leaves a mark until it is
loaded. A plugin that ends the process in spite of such a mark is skipped as well.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import CacheError
from zoo.files.cache import cache_folder
from zoo.files.paths import read_file
from zoo.files.processes import is_running, read_node
from zoo.progress.printable import make_printable

#: Seconds after which zoo reports which plugin it is waiting for.
PATIENCE = 3.0
#: Maximum loading time in seconds of a plugin in a separate process.
TRIAL_SECONDS = 5.0
#: Folder of the notes in the cache folder.
FOLDER = "loading"
_LOADED = "loaded"
#: Script that loads one plugin. If the plugin terminates the process, the last line is not reached.
_TRIAL = f"""
import sys
from zoo.registry.plugins.discovery import try_plugin
try_plugin(sys.argv[1])
sys.__stdout__.write({_LOADED!r})
"""


@contextmanager
def leaving_note(namespace: str) -> Iterator[None]:
    """Return a context in which a note on disk names the plugin being loaded.

    If loading takes a long time, a line on stderr also names the plugin. The note is kept if the process ends in this
    context, or if the user interrupts a plugin that is slow to load.
    """
    path, started = _write_note(namespace), time.monotonic()
    try:
        with naming_if_slow(namespace, f"loading the plugin {namespace}"):
            yield
    except KeyboardInterrupt:
        if time.monotonic() - started >= PATIENCE:
            raise
        _remove(path)
        raise
    _remove(path)
    if path:
        _remove(_find_mark(namespace))


def _write_note(namespace: str) -> Path | None:
    """Write the note of this process. Without a cache folder, no note is written, and a crash cannot be explained."""
    try:
        path = cache_folder() / FOLDER / f"{read_node()}.{os.getpid()}"
        path.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, CacheError):  # a CacheError if there is no home folder
        return None
    return path if _write(path, namespace) else None


def _write(path: Path, text: str) -> bool:
    """Replace a file, and return whether that was possible."""
    partial = path.with_name(f"{read_node()}.{os.getpid()}-new")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError:
        return False
    return True


def find_culprits(namespaces: Collection[str], identify: Callable[[str], str]) -> dict[str, str]:
    """Return, by namespace, what is wrong with each plugin that terminated an earlier process and is skipped.

    zoo loads a plugin in a separate process to find out, unless a note already contains the result.

    Args:
        namespaces: Namespaces of the plugins that are about to be loaded. Notes about other plugins are ignored.
        identify: Function that takes a namespace and returns a line that changes when the plugin changes.
    """
    left: defaultdict[str, list[_Note]] = defaultdict(list)
    for path in _list_left_notes():
        note = _read_note(path)
        if note is not None and note.namespace in namespaces:
            left[note.namespace].append(note)
    faults: dict[str, str] = {}
    for namespace, notes in left.items():
        identity = identify(namespace)
        fault = _judge(namespace, notes, identity)
        for note in notes:
            if fault:
                _write(note.path, f"{namespace}\n{identity}\n{fault}")
            else:
                _remove(note.path)
        if fault:
            paths = " and ".join(str(note.path) for note in notes)
            faults[namespace] = f"{fault}; zoo skips it until it changes, or until you delete {paths}"
        else:
            _write(_find_mark(namespace), identity)
    return faults


@dataclass(frozen=True)
class _Note:
    """A note of a process that has ended."""

    path: Path
    namespace: str
    #: State of the plugin when it was tried in a separate process, and why it failed; both empty before that.
    identity: str = ""
    fault: str = ""


def _judge(namespace: str, notes: Sequence[_Note], identity: str) -> str:
    """Return why a plugin must be skipped, or an empty string."""
    for note in notes:
        if note.fault and note.identity == identity:
            return note.fault
    try:
        has_passed = read_file(_find_mark(namespace)).decode() == identity
    except (OSError, UnicodeDecodeError):
        has_passed = False
    if has_passed:
        return "it repeatedly ends the process while it is loading, although it can be loaded in a separate process"
    return _try_in_process(namespace)


def _read_note(path: Path) -> _Note | None:
    try:
        lines = read_file(path).decode().split("\n", 2)
    except (OSError, UnicodeDecodeError):
        return None
    return _Note(path, *lines)


def _find_mark(namespace: str) -> Path:
    """Return the path of the mark of a plugin that ended a process, but could be loaded in a separate one."""
    return cache_folder() / FOLDER / f"{read_node()}.passed-{namespace}"


@contextmanager
def naming_if_slow(namespace: str, waiting: str) -> Iterator[None]:
    """Return a context that prints on stderr, after `PATIENCE` seconds, what zoo is waiting for.

    Args:
        namespace: Namespace of the plugin.
        waiting: What zoo is doing, such as ``loading the plugin acme``.
    """
    try:
        stderr = os.dup(2)  # The guard redirects descriptor 2 while the plugin is loading.
    except OSError:  # Stderr is closed.
        yield
        return
    line = f"note: still {waiting} after {PATIENCE:.0f} s; set ZOO_DISABLE_PLUGINS={namespace} to continue without it"
    timer = threading.Timer(PATIENCE, os.write, (stderr, f"{make_printable(line)}\n".encode()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        with suppress(OSError):  # the plugin may have closed it
            os.close(stderr)


def _remove(path: Path | None) -> None:
    with suppress(OSError):
        if path:
            path.unlink(missing_ok=True)


def _list_left_notes() -> list[Path]:
    """List the notes of this machine whose process has ended."""
    try:
        found = sorted((cache_folder() / FOLDER).iterdir())
    except (OSError, CacheError):
        return []
    split = [(path, *path.name.rpartition(".")) for path in found]
    return [path for path, node, _, process in split if node == read_node() and _has_ended(process)]


def _has_ended(process: str) -> bool:
    if not process.isdecimal():
        return False  # The file is not one of zoo's notes.
    return int(process) == os.getpid() or not is_running(process)  # An earlier process may have had the same ID.


def _try_in_process(namespace: str) -> str:
    """Load a plugin in a separate process.

    Returns:
        What went wrong, or an empty string.
    """
    import signal
    import subprocess
    import tempfile

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile() as stdout:  # not a pipe, which a child of the plugin could hold open
        try:
            done = subprocess.run(  # noqa: S603  # this interpreter, and a namespace that is installed
                [sys.executable, "-P", "-c", _TRIAL, namespace],
                env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL,
                timeout=TRIAL_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return f"it does not finish loading within {TRIAL_SECONDS:.0f} s"
        except (OSError, ValueError):  # no process can be started, so load the plugin without a test
            return ""
        stdout.seek(0)
        if stdout.read().endswith(_LOADED.encode()):
            return ""
    if done.returncode < 0:
        return f"it crashes the process with {signal.Signals(-done.returncode).name} while it is loading"
    return f"it ends the process with status {done.returncode} while it is loading"
