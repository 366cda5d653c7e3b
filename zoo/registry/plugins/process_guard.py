"""Restore the process after a plugin has been loaded, and report what the plugin changed."""

from __future__ import annotations

import builtins
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from zoo.errors import PluginError
from zoo.registry.plugins.exit_guard import note_stray_thread, noting_exit_handlers
from zoo.registry.plugins.isolation import name_type
from zoo.registry.plugins.settings_guard import keep_functions, keep_hooks, keep_settings

#: Signals whose handlers a plugin must not replace.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGQUIT", "SIGPIPE", "SIGCHLD")
    if hasattr(signal, name)
]
#: Lock that a thread holds while it loads a plugin, because the guards below change the whole process.
LOADING = threading.RLock()
#: Seconds within which a thread must end once its plugin has been loaded.
_GRACE = 0.2


@contextmanager
def guarding_process(plugin: str) -> Iterator[None]:
    """Return a context for loading a plugin; when it exits, the process is restored to its earlier state.

    Raises:
        PluginError: If the plugin changed global state of the process. The change has been undone.
    """
    faults: list[str] = []
    with reporting_faults(faults), ExitStack() as stack:
        stack.enter_context(noting_exit_handlers(plugin))
        for keep in (
            _keep_one_process,
            _keep_threads,
            _keep_signals,
            _keep_folder,
            _keep_path,
            _keep_modules,
            _keep_builtins,
            keep_hooks,
            keep_functions,
            keep_settings,
        ):
            stack.enter_context(keep(faults))
        yield


@contextmanager
def reporting_faults(faults: list[str]) -> Iterator[None]:
    """Raise the first fault as a PluginError; any other error of the plugin may be a consequence of it."""
    cause: BaseException | None = None
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if not faults:
            raise
        cause = error
    if faults:
        raise PluginError(f"it {faults[0]} while it is loading; a plugin must not do that.") from cause


@contextmanager
def _keep_modules(faults: list[str]) -> Iterator[None]:
    modules: dict[str, Any] = sys.modules
    before = dict(modules)
    try:
        yield
    finally:
        changed = [name for name, module in before.items() if sys.modules.get(name) is not module]
        now: dict[str, Any] = sys.modules
        blocked = [name for name, module in now.items() if module is None and name not in before]
        if sys.modules is not modules:
            modules.update(sys.modules)
            sys.modules = modules
        for name in changed:
            modules[name] = before[name]
        for name in blocked:
            del modules[name]
        if changed or blocked:
            faults.append(f"replaces the module {(changed + blocked)[0]}")


@contextmanager
def _keep_builtins(faults: list[str]) -> Iterator[None]:
    before = dict(vars(builtins))
    try:
        yield
    finally:
        now = vars(builtins)
        changed = [name for name in before if name != "_" and now.get(name, now) is not before[name]]
        now.update({name: before[name] for name in changed})
        if changed:
            faults.append(f"replaces the built-in {changed[0]}")


@contextmanager
def _keep_signals(faults: list[str]) -> Iterator[None]:
    """Restore signal handlers, and distinguish a KeyboardInterrupt that the plugin raised from Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    # A handler that was not installed by Python is None and could not be restored.
    before = {number: handler for number, handler in found.items() if handler is not None}
    had_no_alarm = hasattr(signal, "alarm") and not any(signal.getitimer(signal.ITIMER_REAL))
    arrived: list[int] = []
    own = {number: _note_arrival(handler, arrived) for number, handler in before.items() if callable(handler)}
    for number, noting in own.items():
        signal.signal(number, noting)
    try:
        yield
    except KeyboardInterrupt as error:
        if arrived:
            raise
        raise PluginError(f"{name_type(error)}: it interrupts the process while it is loading.") from error
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not own.get(number, handler):
                faults.append(f"replaces the handler of {number.name}")
            signal.signal(number, handler)
        if had_no_alarm and signal.alarm(0):
            faults.append("sets an alarm")


def _note_arrival(handler: Callable[..., Any], arrived: list[int]) -> Callable[..., Any]:
    def note(number: int, frame: Any) -> Any:
        arrived.append(number)
        return handler(number, frame)

    return note


@contextmanager
def _keep_threads(faults: list[str]) -> Iterator[None]:
    """Find threads that do not end and that the loading thread started, directly or through another thread.

    Other parts of the application may start threads at the same time.
    """
    started, start = [threading.current_thread()], threading.Thread.start

    def note_start(thread: threading.Thread) -> None:
        if threading.current_thread() in started:
            started.append(thread)
        start(thread)

    threading.Thread.start = note_start  # type: ignore[assignment, method-assign]  # a name differs
    try:
        yield
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        for thread in started[1:]:
            thread.join(_GRACE)
            if thread.is_alive():  # A daemon thread does not delay the exit, but can print or end the process.
                note_stray_thread(thread)
                faults.append("starts a thread that does not end")


@contextmanager
def _keep_one_process(faults: list[str]) -> Iterator[None]:
    """End any copy of the process that a plugin created with `os.fork`."""
    process, fork = os.getpid(), getattr(os, "fork", None)

    def note_fork() -> int:
        faults.append("forks the process")
        assert fork is not None
        return fork()  # type: ignore[no-any-return]  # getattr() returns Any

    if fork:
        os.fork = note_fork
    try:
        yield
    finally:
        if fork:
            os.fork = fork
        if os.getpid() != process:
            os._exit(0)


@contextmanager
def _keep_folder(faults: list[str]) -> Iterator[None]:
    before = _find_folder()
    try:
        yield
    finally:
        if _find_folder() != before:
            faults.append("changes the working directory")
            with suppress(OSError):  # it may have been removed
                os.chdir(before or "/")


@contextmanager
def _keep_path(faults: list[str]) -> Iterator[None]:
    """Restore `sys.path` if a plugin removed folders from it or moved them. It may add folders, as .pth files do."""
    path, before = sys.path, [*sys.path]
    try:
        yield
    finally:
        now = getattr(sys, "path", None)
        if now is not path or [folder for folder in now if folder in before] != before:
            path[:] = before
            sys.path = path
            faults.append("removes folders from sys.path")


def _find_folder() -> Path | None:
    """Return the working directory, or None if it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None
