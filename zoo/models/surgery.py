"""Edit a network: remove, replace, add or cut off modules, which are named by their dotted paths.

Every function changes the model in place and returns it. Modules that are not affected keep their names, so that
upstream's weights still fit them. Children that a network defines but its forward pass never calls have no effect, so a
change that would do this is refused. ``example`` proves a change: the model runs before and after it, on torch's meta
device, and the change is undone if the new module does not run or the forward pass fails.

Example:
    model = zoo.build("alexnet")
    zoo.surgery.remove(model, "classifier.4")
    zoo.surgery.append(model, "features", nn.BatchNorm2d(256), example=(1, 3, 224, 224))
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from zoo.errors import OptionError
from zoo.models.containers import edit, get_module, is_sequential, list_children, set_children
from zoo.models.trace import CannotTrace, Trace, trace

#: A batch of inputs, or the shape of one, such as ``(1, 3, 224, 224)``.
Example = Tensor | Sequence[int]


def remove(model: nn.Module, path: str, *, example: Example | None = None) -> nn.Module:
    """Remove a module.

    In an nn.Sequential, the other modules keep their names: without ``classifier.4``, the next one is still
    ``classifier.5``. An nn.ModuleList is renumbered. Any other parent calls the module by its name, so the module is
    replaced with nn.Identity, which returns its input.

    Args:
        model: The model, which is changed in place.
        path: Dotted path of the module.
        example: A batch, or its shape, to prove that the forward pass still works.

    Raises:
        NameNotFound: If there is no such module.
        OptionError: If the forward pass fails after the change. The model is then unchanged.
    """
    parent, name = _split(model, path)
    children = list_children(parent)
    if is_sequential(parent) or isinstance(parent, nn.ModuleList):
        del children[name]
    else:
        children[name] = nn.Identity()
    with edit(model):
        set_children(parent, children)
        _check_after(model, example)
    return model


def replace(model: nn.Module, path: str, module: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Replace a module with another one.

    Args:
        model: The model, which is changed in place.
        path: Dotted path of the module.
        module: The new module. It gets the mode, training or eval, of the model.
        example: A batch, or its shape, to prove that the forward pass calls the new module.

    Raises:
        NameNotFound: If there is no such module.
        OptionError: If the forward pass does not call the module, or fails after the change. The model is then
            unchanged.
    """
    parent, name = _split(model, path)
    before = _trace(model, example)
    if before is not None and not _is_used(before, get_module(model, path), path):
        raise OptionError(
            f"the forward pass of {type(model).__name__} never calls {path}, so a replacement would have no effect."
        )
    with edit(model):
        set_children(parent, {**list_children(parent), name: module.train(model.training)})
        _check_after(model, example, (module, path), before)
    return model


def truncate(model: nn.Module, path: str, *, example: Example | None = None) -> nn.Module:
    """Cut off everything after a module, so that the module is the last one that runs.

    At each level from the module up to the model, the later children of the same parent are removed if the parent is an
    nn.Sequential or an nn.ModuleList, and replaced with nn.Identity otherwise, as are the items of lists of modules.
    Later means defined later; with an ``example``, it means first called later. What a forward pass does between its
    modules, such as flattening, stays.

    Args:
        model: The model, which is changed in place.
        path: Dotted path of the last module to keep.
        example: A batch, or its shape, to find the order of the calls, and to prove that the forward pass still works.

    Raises:
        NameNotFound: If there is no such module.
        OptionError: If the forward pass fails after the change. The model is then unchanged.
    """
    _split(model, path)
    parts, before = path.split("."), _trace(model, example)
    if example is not None and before is None:
        raise OptionError(
            f"{type(model).__name__} cannot process the `example`, so the order of its modules is unknown."
        )
    with edit(model):
        for depth in range(len(parts) - 1, -1, -1):
            parent = model.get_submodule(".".join(parts[:depth]))
            set_children(parent, _cut(parent, parts[depth], before))
        _check_after(model, example)
    return model


def append(model: nn.Module, path: str, module: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Add a module at the end of a container; see `insert`."""
    return insert(model, path, len(list_children(get_module(model, path))), module, example=example)


def insert(model: nn.Module, path: str, index: int, module: nn.Module, *, example: Example | None = None) -> nn.Module:
    """Insert a module into a container.

    An nn.Sequential runs all of its children in order, so a new child runs. Its other children keep their names, and
    the new one gets the next free number. Whether any other container runs a new child depends on the forward pass, so
    this needs an ``example``. An nn.ModuleList is renumbered.

    Args:
        model: The model, which is changed in place.
        path: Dotted path of the container; an empty string means the model.
        index: Position of the new module among the container's children, starting at 0.
        module: The new module. It gets the mode, training or eval, of the model.
        example: A batch, or its shape, to prove that the forward pass calls the new module.

    Raises:
        NameNotFound: If there is no such container.
        OptionError: If the forward pass would not call the module, or fails after the change. The model is then
            unchanged.
    """
    parent = get_module(model, path)
    children = [*list_children(parent).items()]
    if not 0 <= index <= len(children):
        raise OptionError(f"{path or type(model).__name__} has {len(children)} children; there is no index {index}.")
    if example is None and not is_sequential(parent):
        raise OptionError(_explain_container(model, path, parent))
    free = next(
        str(number) for number in range(len(children), 2 * len(children) + 1) if not hasattr(parent, str(number))
    )
    children.insert(index, (free, module.train(model.training)))
    before = _trace(model, example)
    with edit(model):
        set_children(parent, dict(children))
        _check_after(model, example, (module, f"{path}.{free}".lstrip(".")), before)
    return model


def _split(model: nn.Module, path: str) -> tuple[nn.Module, str]:
    """Return the parent of a module, and the module's name in it."""
    if not path:
        raise OptionError(f"the path is empty; name a module in {type(model).__name__}, such as {_name_one(model)}.")
    get_module(model, path)
    above, _, name = path.rpartition(".")
    return get_module(model, above), name


def _name_one(model: nn.Module) -> str:
    return next((name for name, _ in model.named_modules() if name), "layer")


def _cut(parent: nn.Module, name: str, before: Trace | None) -> dict[str, nn.Module | None]:
    """Return the children of a parent without those after one of them."""
    children = list_children(parent)
    places = {other: place for place, other in enumerate(children)}
    if before is not None:
        calls = {module: place for place, module in enumerate(before.order)}
        for other, child in children.items():
            parts = child.modules() if child is not None else ()
            places[other] = min((calls[part] for part in parts if part in calls), default=-1)
    later = [other for other in children if places[other] > places[name]]
    if is_sequential(parent) or isinstance(parent, nn.ModuleList):
        return {other: child for other, child in children.items() if other not in later}
    # A child that is None stays None, because the forward pass may ask for that.
    return {
        other: _make_identity(child) if other in later and child is not None else child
        for other, child in children.items()
    }


def _make_identity(module: nn.Module) -> nn.Module:
    """Return nn.Identity, or a list or dictionary of them, because a forward pass names the items of these."""
    if isinstance(module, nn.ModuleList):
        return nn.ModuleList(map(_make_identity, module))
    if isinstance(module, nn.ModuleDict) and type(module).forward is nn.Module.forward:
        return nn.ModuleDict({name: _make_identity(child) for name, child in module.items()})
    return nn.Identity()


def _explain_container(model: nn.Module, path: str, parent: nn.Module) -> str:
    kind, where = type(parent).__name__, path or "the model"
    found = [name for name, module in model.named_modules() if name and is_sequential(module)]
    near = [name for name in found if not path or name.startswith(f"{path}.")] or found
    advice = f"add it to an nn.Sequential, such as {', '.join(near[:4])}; or " if near else ""
    return (
        f"{where} is a {kind}, whose forward pass does not simply run its children in order, so it may never call a "
        f"new module; {advice}replace a module with nn.Sequential(module, new); or pass an `example` to prove "
        "that it runs."
    )


def _trace(model: nn.Module, example: Example | None) -> Trace | None:
    """Return the record of the forward pass; None without an example, or if an earlier change broke the model."""
    with suppress(CannotTrace):
        return None if example is None else trace(model, _make_batch(example))
    return None


def _check_after(
    model: nn.Module,
    example: Example | None,
    added: tuple[nn.Module, str] | None = None,
    before: Trace | None = None,
) -> None:
    """Require that the forward pass works after a change, and calls the module that was added, which has a path."""
    if example is None:
        return
    try:
        after = trace(model, _make_batch(example))
    except CannotTrace as error:
        raise OptionError(
            f"the forward pass of {type(model).__name__} fails after this change, so the change was undone; change "
            f"several modules without an `example`, except for the last one: {error}"
        ) from error
    if added is not None and not _is_used(after, *added, before):
        raise OptionError(
            f"the forward pass of {type(model).__name__} never calls the new module {added[1]}, so the change was "
            "undone; add it to an nn.Sequential that the forward pass calls, or replace a module that it calls."
        )


def _is_used(traced: Trace, module: nn.Module, path: str, before: Trace | None = None) -> bool:
    """Return whether a module, or a part of it, runs more often than before, or its parameters are used directly."""
    earlier = before.calls if before else {}
    is_called = any(traced.calls.get(part, 0) > earlier.get(part, 0) for part in module.modules())
    return is_called or any(name.startswith(f"{path}.") for name in traced.uses)


def _make_batch(example: Example) -> Tensor:
    return example if isinstance(example, Tensor) else torch.zeros(*example)
