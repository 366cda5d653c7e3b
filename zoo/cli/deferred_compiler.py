"""Import torch's compiler only if something uses it.

Every optimizer and ``import torchvision`` import ``torch._dynamo``, although they use nothing of it unless something is
compiled. This import includes SymPy and Triton: `import torch` takes 2.1 s of processor time, and
`import torch._dynamo` 4.2 s.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

_COMPILER, _FUNCTIONS = "torch._dynamo", "torch._dynamo.utils"
_LOADING = RLock()


class _Deferred(ModuleType):
    """A module that is imported as soon as code asks for a name that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        if (self.__name__, name) == (_FUNCTIONS, "__path__"):  # Python asks for it, and this is not a package.
            raise AttributeError(name)
        return getattr(_load(self.__name__), name)


def defer_compiler() -> None:
    """Replace torch's compiler with what it does for code that is not compiled, unless it has been imported.

    Only call this in a process of our own, after torch was imported.
    """
    if any(name.startswith(_COMPILER) for name in sys.modules):
        return
    compiler, functions = _Deferred(_COMPILER), _Deferred(_FUNCTIONS)
    spec = find_spec(_COMPILER)  # This does not import it.
    compiler.__file__ = functions.__file__ = spec.origin if spec else None  # `inspect` reads it of all modules.
    compiler.__dict__.update(__spec__=spec, disable=_disable, graph_break=_graph_break)
    functions.__dict__.update(is_compile_supported=_is_compile_supported)
    sys.modules.update({_COMPILER: compiler, _FUNCTIONS: functions})


def _load(name: str) -> ModuleType:
    """Import the compiler in place of the deferred modules, and return one of its modules."""
    with _LOADING:
        for deferred in (_COMPILER, _FUNCTIONS):
            if isinstance(sys.modules.get(deferred), _Deferred):
                del sys.modules[deferred]
        importlib.import_module(_COMPILER)
    return importlib.import_module(name)


def _disable(function: Callable[..., Any], *args: Any, **options: Any) -> Callable[..., Any]:
    """Return a function that is never compiled. Until the compiler is imported, nothing is."""

    @cache
    def find_disabled() -> Callable[..., Any]:
        disabled: Callable[..., Any] = sys.modules[_COMPILER].disable(function, *args, **options)
        return disabled

    def call(*arguments: Any, **named: Any) -> Any:
        is_deferred = isinstance(sys.modules[_COMPILER], _Deferred)
        return (function if is_deferred else find_disabled())(*arguments, **named)

    return call


def _graph_break(msg: str = "") -> None:
    """Separate two graphs of the compiler. Outside of them, this does nothing."""


def _is_compile_supported(device: Any) -> Any:
    return _load(_FUNCTIONS).is_compile_supported(device)
