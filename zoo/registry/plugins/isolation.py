"""Isolate the rest of zoo from what a plugin raises, prints and imports during loading."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from zoo.errors import PluginError, ZooError
from zoo.progress.printable import make_printable
from zoo.registry.plugins.place import find_import, find_place

#: Modules that take seconds to import. A plugin must not import them while its backbones are listed.
HEAVY = frozenset({"torch", "torchvision", "timm", "numpy"})


class _OpenBytes(io.BytesIO):
    def close(self) -> None:
        """Stay open, so that the output can be read."""


class Output(io.TextIOWrapper):
    """A replacement for stdout and stderr while a plugin is loading. A plugin that closes it does no harm."""

    def __init__(self) -> None:
        self._bytes = _OpenBytes()
        super().__init__(self._bytes, encoding="utf-8", errors="replace", write_through=True)

    def close(self) -> None:
        """Stay open, because other code may still print."""

    def read_all(self) -> str:
        """Return everything that was printed."""
        return self._bytes.getvalue().decode("utf-8", errors="replace")


@contextmanager
def isolated(output: Output) -> Iterator[None]:
    """Return a context that isolates a plugin's code.

    What it prints goes to ``output``, heavy imports fail, and the environment variables are restored afterwards.

    Raises:
        PluginError: If the code raises any exception or tries to exit. The message is one line.
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
    """Return a context that turns any exception of a plugin, including SystemExit, into a one-line PluginError."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        # The message is zoo's own, so it needs no type before it.
        raise PluginError(describe_in_one_line(error)) from error
    except BaseException as error:
        raise PluginError(f"{name_type(error)}: {describe_in_one_line(error)}") from error


@contextmanager
def naming_place(failed: str) -> Iterator[None]:
    """Return a context that turns an exception of a plugin's function into a PluginError with file and line.

    Args:
        failed: What the plugin could not do, such as ``acme/net cannot be built``.

    Raises:
        PluginError: If the block tries to exit or raises any exception other than a ZooError.
    """
    try:
        yield
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        place = find_place(error)
        reason = f"{name_type(error)}: {describe_in_one_line(error)}"
        raise PluginError(f"{failed}: {reason}{place and f' ({place})'}") from error


def name_type(error: BaseException) -> str:
    """Return the name of the class of an exception, even if reading it from the class fails."""
    name: str = type.__dict__["__name__"].__get__(type(error))  # A metaclass cannot override this.
    return make_printable(name)


def describe_in_one_line(error: BaseException) -> str:
    """Return the message of an exception as one printable line, even if its ``__str__`` fails."""
    try:
        message = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  # its own __str__ raised
        message = ""
    return make_printable(message) or "no message"


class _NoHeavyImports(Loader):
    """Finder and loader that makes the import of a heavy module fail.

    ``importlib.util.find_spec``, which only checks whether a module is installed, still works.
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
        imported, place = find_import(module.__name__)
        what = imported if imported == module.__name__ else f"{imported}, and thereby {module.__name__},"
        raise PluginError(
            f"it imports {what} while its backbones are listed{place and f' ({place})'}; import it inside build()."
        )
