"""A file with the user's own network: FILE.py:FUNCTION. The file is run only if the user names it."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType

from torch import nn

from zoo.errors import OptionError
from zoo.files.paths import expand_user
from zoo.registry.plugins.isolation import naming_place

_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<function>[A-Za-z_]\w*)", re.DOTALL)


@dataclass(frozen=True)
class NetworkFile:
    """A function in a file that returns a network."""

    #: The file, as the user named it.
    file: str
    function: str
    content: bytes

    @classmethod
    def find(cls, reference: str | PathLike[str]) -> NetworkFile | None:
        """Read ``FILE.py:FUNCTION``, without running it; return None if the text has a different form.

        Raises:
            OptionError: If the file cannot be read, or if the function is missing from the text.
        """
        text = fspath(reference)
        if text.endswith(".py"):
            raise OptionError(f"{text!r} names no function; add the one that returns the network: {text}:FUNCTION.")
        found = _REFERENCE.fullmatch(text)
        if found is None:
            return None
        try:
            content = expand_user(found["file"]).read_bytes()
        except (OSError, ValueError) as error:  # a ValueError for a NUL
            reason = getattr(error, "strerror", None) or error
            raise OptionError(f"{found['file']} cannot be read: {reason}; pass FILE.py:FUNCTION.") from error
        return cls(found["file"], found["function"], content)

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    def build(self) -> nn.Module:
        """Run the file, call the function without arguments, and return the network.

        Raises:
            OptionError: If the file has no such function, or if the function does not return an nn.Module.
            PluginError: If the file or the function raises an exception.
        """
        path, failed = expand_user(self.file).absolute(), f"{self.file} cannot be run"
        module = ModuleType(f"zoo_network_{self.sha256[:16]}")
        module.__file__ = str(path)
        with _importing_from(path.parent), naming_place(failed):
            sys.modules[module.__name__] = module  # dataclasses look for their module there
            exec(compile(self.content, str(path), "exec"), vars(module))  # noqa: S102  # the user named this file
            function = vars(module).get(self.function)
            if not callable(function):
                known = [name for name, value in vars(module).items() if _is_own(value, module)]
                raise OptionError(
                    f"{self.file} has no function {self.function!r}; it defines {', '.join(known) or 'none'}."
                )
            network = function()
        if not isinstance(network, nn.Module):
            raise OptionError(
                f"{self.function} in {self.file} returns a {type(network).__name__}; it must return an nn.Module."
            )
        return network


def _is_own(value: object, module: ModuleType) -> bool:
    """Return whether a value is a function or class that the file itself defines."""
    return callable(value) and getattr(value, "__module__", None) == module.__name__


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Return a context in which modules are imported from a folder first, as when Python runs a file in it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
