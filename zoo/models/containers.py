"""The children of a module: find them by path, list them, and change them as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import nn

from zoo.errors import NameNotFound
from zoo.registry.spelling import list_close

#: Number of names that an error lists.
_LISTED = 12


def get_module(model: nn.Module, path: str) -> nn.Module:
    """Return the module with a dotted path; an empty path is the model itself.

    Raises:
        NameNotFound: If there is no such module. The message lists the modules near it.
    """
    parent, missing = model, path
    for number, name in enumerate(path.split(".") if path else ()):
        child = list_children(parent).get(name)
        if child is None:
            above = ".".join(path.split(".")[:number])
            raise NameNotFound(_explain(model, missing, above, parent))
        parent = child
    return parent


def _explain(model: nn.Module, path: str, above: str, parent: nn.Module) -> str:
    names = [name for name, child in list_children(parent).items() if child is not None]
    listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
    where = f"{above} ({type(parent).__name__})" if above else "it"
    has = f"{where} has the modules {listed}" if names else f"{where} has no modules"
    similar = list_close(path, [name for name, _ in model.named_modules() if name])
    advice = f"; did you mean {' or '.join(similar)}?" if similar else "."
    return f"{type(model).__name__} has no module {path!r}: {has}{advice}"


def list_children(module: nn.Module) -> dict[str, nn.Module | None]:
    """Return the children of a module by name, including those that occur twice and those that are None."""
    return dict(module._modules)  # noqa: SLF001  # named_children() leaves some out


def set_children(module: nn.Module, children: Mapping[str, nn.Module | None]) -> None:
    """Set all children of a module, in this order. Those of an nn.ModuleList are renumbered."""
    if isinstance(module, nn.ModuleList):  # It finds its children by number.
        children = {str(number): child for number, child in enumerate(children.values())}
    own = module._modules  # noqa: SLF001  # no public function keeps the order, or a child that is None
    own.clear()
    own.update(children)


def is_sequential(module: nn.Module) -> bool:
    """Return whether the forward pass of a module runs all of its children in order."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


@contextmanager
def edit(model: nn.Module) -> Iterator[None]:
    """Return a context that restores the children of all modules of a model if an exception is raised."""
    before = [(module, list_children(module)) for module in model.modules()]
    try:
        yield
    except BaseException:
        for module, children in before:
            set_children(module, children)
        raise
