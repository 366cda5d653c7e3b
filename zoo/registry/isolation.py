"""Keeps what a plugin raises, prints and imports while it is loaded from everybody else."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from zoo.errors import PluginError
from zoo.progress import make_printable

#: Modules that take seconds to import, and that listing must do without.
HEAVY = frozenset({"torch", "torchvision", "timm", "numpy"})


class _OpenBytes(io.BytesIO):
    def close(self) -> None:
        """Stay open, whoever closes it."""


class Output(io.TextIOWrapper):
    """Stands for the terminal while a plugin is loaded; what a plugin does to it, it bears."""

    def __init__(self) -> None:
        self._bytes = _OpenBytes()
        super().__init__(self._bytes, encoding="utf-8", errors="replace", write_through=True)

    def close(self) -> None:
        """Stay open: the next one to print is not the plugin."""

    def read_all(self) -> str:
        """Return all that was printed."""
        return self._bytes.getvalue().decode("utf-8", errors="replace")


@contextmanager
def contained(output: Output) -> Iterator[None]:
    """Run a plugin's code with its prints in ``output``, without heavy imports, and with the environment put back.

    Raises:
        PluginError: it raised or tried to exit; the message says how, in one line.
    """
    guard, environment = _NoHeavyImports(), dict(os.environ)
    sys.meta_path.insert(0, guard)
    try:
        with failing_as_plugin_error(), redirect_stdout(output), redirect_stderr(output):
            yield
    finally:
        if guard in sys.meta_path:
            sys.meta_path.remove(guard)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


@contextmanager
def failing_as_plugin_error() -> Iterator[None]:
    """Turn whatever a plugin raises, exits included, into a PluginError of one line."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        # Our own sentence about the plugin; of other errors the kind matters.
        raise PluginError(describe_in_one_line(error)) from error
    except BaseException as error:
        raise PluginError(f"{type(error).__name__}: {describe_in_one_line(error)}") from error


def describe_in_one_line(error: BaseException) -> str:
    """Return what an exception says, on one line and printable, even if it cannot say anything."""
    try:
        message = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # its own __str__ raised
        message = ""
    return make_printable(message) or "no message"


class _NoHeavyImports(Loader):
    """Refuses to import what takes seconds; the contract's promise is kept by force, for advice alone is forgotten.

    Asking whether such a module is there is no import, and is answered.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in HEAVY:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            spec.loader = self
        return spec

    def exec_module(self, module: ModuleType) -> None:
        raise PluginError(f"it imports {module.__name__} while it is listed; import it inside build().")
