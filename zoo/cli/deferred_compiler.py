"""Import torch's compiler only if something uses it.

Every optimizer and ``import torchvision`` import ``torch._dynamo``, although they use nothing of it unless something is
compiled. This import includes SymPy and Triton: `import torch` takes 2.1 s of processor time, and
`import torch._dynamo` 4.2 s.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import RLock
from types import FunctionType, ModuleType
from typing import Any

_COMPILER, _FUNCTIONS = "torch._dynamo", "torch._dynamo.utils"
_LOADING = RLock()


class _Deferred(ModuleType):
    """A module that is imported as soon as code asks for a name that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        if (self.__name__, name) == (_FUNCTIONS, "__path__"):  # Python asks for it, and this is not a package.
            raise AttributeError(name)
        return getattr(_load(self.__name__), name)


class _Once(MetaPathFinder, Loader):
    """Finds the compiler's modules that are already imported.

    For ``import torch._dynamo.config``, Python first looks for the module, which is missing, and then asks the deferred
    package for its path. This imports the compiler with all of its modules. Without this class, Python would then
    import the module again, and its settings would not be those that the compiler reads.
    """

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002  # Python's signature
        module = sys.modules.get(fullname) if fullname.startswith(f"{_COMPILER}.") else None
        return ModuleSpec(fullname, self, loader_state=module.__spec__) if module else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.loader is self:  # Python could not set it for modules that refuse new attributes.
            module.__spec__ = spec.loader_state


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
    functions.__dict__.update(__spec__=spec, is_compile_supported=_is_compile_supported)
    sys.meta_path.insert(0, _Once())
    sys.modules.update({_COMPILER: compiler, _FUNCTIONS: functions})


def _load(name: str) -> ModuleType:
    """Import the compiler in place of the deferred modules, and return one of its modules."""
    with _LOADING:
        for deferred in (_COMPILER, _FUNCTIONS):
            if isinstance(sys.modules.get(deferred), _Deferred):
                del sys.modules[deferred]
        importlib.import_module(_COMPILER)
    return importlib.import_module(name)


def _disable(function: Any = None, *args: Any, **options: Any) -> Any:
    """Return a function that is never compiled. Until the compiler is imported, nothing is."""
    if not isinstance(function, FunctionType):  # Modules and classes must keep their type.
        return _load(_COMPILER).disable(function, *args, **options)

    @functools.cache
    def find_disabled() -> Callable[..., Any]:
        disabled: Callable[..., Any] = sys.modules[_COMPILER].disable(function, *args, **options)
        return disabled

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        compiler = sys.modules.get(_COMPILER)
        # While another thread imports the compiler, its functions are not there yet.
        is_imported = not isinstance(compiler, _Deferred) and hasattr(compiler, "disable")
        return (find_disabled() if is_imported else function)(*arguments, **named)

    return call


def _graph_break(msg: str = "") -> None:
    """Separate two graphs of the compiler. Outside of them, this does nothing."""


def _is_compile_supported(device: Any) -> Any:
    return _load(_FUNCTIONS).is_compile_supported(device)
