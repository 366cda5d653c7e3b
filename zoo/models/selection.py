"""Which parameters of a model a scope trains: whole blocks, or what the terms of the scope match."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from torch import nn

from zoo.errors import NameNotFound, OptionError
from zoo.models.blocks import list_trainable
from zoo.models.freeze import is_trained
from zoo.models.head import Head, is_below_any
from zoo.plugin import BlockSpec
from zoo.registry.spelling import list_close
from zoo.registry.train_scope import Term, TrainScope

#: Layers that normalize. torch has no public base class for all of them.
_NORMS = (
    nn.modules.batchnorm._NormBase,  # noqa: SLF001  # the base of all batch and instance norms
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
#: Number of names that an error lists.
_LISTED = 12


@dataclass(frozen=True)
class Match:
    """What a term matches in a model."""

    term: str
    #: Number of parameter tensors, and of parameters.
    tensors: int
    params: int


@dataclass(frozen=True)
class Selection:
    """The trainable part of a model."""

    #: Prefixes of the names of trainable parameters and of the buffers that may change.
    trainable: tuple[str, ...]
    #: What each term matches; empty for a scope without terms.
    matches: tuple[Match, ...] = ()
    #: Modules without tensors that run in training mode although frozen modules come after them.
    active: tuple[nn.Module, ...] = ()
    #: Names of parameters that are never trained, even under these prefixes.
    untrained: frozenset[str] = frozenset()

    def trains(self, name: str) -> bool:
        """Return whether a parameter is trained, or a buffer may change."""
        return is_trained(name, self.trainable, self.untrained)


def select(
    model: nn.Module,
    blocks: tuple[BlockSpec, ...],
    head: Head,
    scope: TrainScope,
    untrained: frozenset[str] = frozenset(),
) -> Selection:
    """Return the part of a model that a scope without phases trains.

    Args:
        model: The model.
        blocks: The blocks of the model, from input to output.
        head: The location of the head.
        scope: The scope of one phase, or terms.
        untrained: Names of the parameters that are never trained.

    Raises:
        NameNotFound: If there is no such block, or if a term matches nothing.
        OptionError: If nothing is left to train.
    """
    if not scope.terms:
        whole = list_trainable(blocks, head, scope)
        _refuse_untrained(scope, {name for name, _ in model.named_parameters() if is_below_any(name, whole)}, untrained)
        return Selection(whole, untrained=untrained)
    tree = _Tensors(model, blocks, head)
    matches = [(term, tree.match(term)) for term in scope.terms]
    wanted = [names for term, names in matches if not term.is_negated]
    selected = set().union(*wanted) if wanted else {*tree.names}
    for term, names in matches:
        selected -= names if term.is_negated else set()
    changing = tree.complete(selected)
    if not changing & tree.parameters.keys():
        raise OptionError(f"`train` {scope} leaves nothing to train; remove a term that begins with !.")
    _refuse_untrained(scope, changing & tree.parameters.keys(), untrained)
    trainable = tuple(_compress([name.split(".") for name in tree.names], changing, ()))
    counted = tuple(
        Match(str(term), *tree.count(names if term.is_negated else names - untrained)) for term, names in matches
    )
    return Selection(trainable, counted, tuple(_list_active(model, head, trainable)), untrained)


def _refuse_untrained(scope: TrainScope, selected: AbstractSet[str], untrained: frozenset[str]) -> None:
    """Raise OptionError if all of the selected parameters, if any, are never trained."""
    if selected and selected <= untrained:
        advice = "add other terms, such as head" if scope.terms else "choose another part, or correct the plugin"
        raise OptionError(
            f"`train` {scope} selects only parameters that are never trained ({_shorten(sorted(selected))}); {advice}."
        )


@dataclass(frozen=True)
class _Tensors:
    """The parameters and buffers of a model by name."""

    model: nn.Module
    blocks: tuple[BlockSpec, ...]
    head: Head

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        return dict(self.model.named_parameters(remove_duplicate=False))

    @cached_property
    def names(self) -> list[str]:
        return [*self.parameters, *dict(self.model.named_buffers(remove_duplicate=False))]

    @cached_property
    def modules(self) -> dict[str, nn.Module]:
        return dict(self.model.named_modules(remove_duplicate=False))

    def match(self, term: Term) -> set[str]:
        """Return the names of the tensors that a term matches, with or without ``!``.

        Raises:
            NameNotFound: If it matches nothing.
        """
        found = {*self._find(term)}
        if not found:
            raise NameNotFound(f"`train`: nothing matches {str(term).removeprefix('!')!r}; {self._list_names(term)}.")
        return found

    def _find(self, term: Term) -> Iterable[str]:
        if term.kind in ("head", "from"):
            aux = self.head.aux_paths
            return self._list_below((*list_trainable(self.blocks, self.head, TrainScope(term.kind, term.value)), *aux))
        if term.kind == "name":
            return self._find_named(term.value)
        return (name for name in self.names if self._has_property(name, term))

    def _has_property(self, name: str, term: Term) -> bool:
        """Return whether a tensor matches ``all``, ``biases``, ``norms`` or ``type``."""
        if term.kind == "biases":
            return name in self.parameters and name.rpartition(".")[2].endswith("bias")
        if term.kind == "norms":
            return _is_norm(self.modules[name.rpartition(".")[0]])
        above = (self.modules[path] for path in (*_list_paths(name), "") if path in self.modules)
        return term.kind == "all" or any(term.value in _list_types(module) for module in above)

    def _find_named(self, value: str) -> Iterable[str]:
        for block in self.blocks:
            if block.name == value:
                return self._list_below(block.prefixes)
        return (name for name in self.names if any(fnmatchcase(path, value) for path in _list_paths(name)))

    def _list_below(self, prefixes: Collection[str]) -> Iterator[str]:
        return (name for name in self.names if is_below_any(name, prefixes))

    def _list_names(self, term: Term) -> str:
        """Return what exists, for a term that matches nothing."""
        if term.kind == "type":
            types = sorted({type(module).__name__ for path, module in self.modules.items() if path})
            return f"the classes of modules are {_shorten(types)}"
        blocks = f"the blocks are {', '.join(block.name for block in self.blocks)}"
        if term.kind != "name":
            return blocks
        similar = list_close(term.value, [path for path in self.modules if path])
        children = _shorten([name for name, _ in self.model.named_children()])
        return f"{blocks}; the modules are {children}{f'; did you mean {similar[0]}' if similar else ''}"

    def complete(self, selected: set[str]) -> set[str]:
        """Return the selected parameters under all of their names, and the buffers that may change with them.

        The buffers of a module with parameters, such as the statistics of a batch norm, change if one of these
        parameters is trainable. Those of other modules change if they are selected.
        """
        chosen = {id(parameter) for name, parameter in self.parameters.items() if name in selected}
        changing = {name for name, parameter in self.parameters.items() if id(parameter) in chosen}
        if len(changing) == len(self.parameters):
            return {*self.names}  # as for `all`
        owners = {name.rpartition(".")[0] for name in self.parameters}
        trained = {name.rpartition(".")[0] for name in changing}
        for name in self.names:
            owner = name.rpartition(".")[0]
            if name not in self.parameters and (owner in trained if owner in owners else name in selected):
                changing.add(name)
        return changing

    def count(self, names: set[str]) -> tuple[int, int]:
        """Return the number of parameter tensors and of parameters with these names."""
        found = {id(parameter): parameter.numel() for name, parameter in self.parameters.items() if name in names}
        return len(found), sum(found.values())


def _is_norm(module: nn.Module) -> bool:
    # Upstream libraries have norms of their own, which are leaves with this word in their names.
    return isinstance(module, _NORMS) or ("Norm" in type(module).__name__ and not [*module.children()])


def _list_types(module: nn.Module) -> list[str]:
    return [kind.__name__ for kind in type(module).__mro__]


def _list_paths(name: str) -> Iterator[str]:
    """Yield a tensor's name, and the paths of the modules that contain it."""
    yield name
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _compress(names: Sequence[Sequence[str]], wanted: set[str], above: tuple[str, ...]) -> Iterator[str]:
    """Yield the shortest prefixes that cover the wanted names and no others; all names are below ``above``."""
    groups: dict[str, list[Sequence[str]]] = {}
    for parts in names:
        groups.setdefault(parts[len(above)], []).append(parts)
    for name, group in groups.items():
        below = (*above, name)
        is_wanted = [".".join(parts) in wanted for parts in group]
        if all(is_wanted):
            yield ".".join(below)
        elif any(is_wanted):
            yield from _compress(group, wanted, below)


def _list_active(model: nn.Module, head: Head, trainable: Collection[str]) -> Iterator[nn.Module]:
    """Yield the modules without tensors, such as dropouts, that are defined after the first trainable tensor.

    The head does not count, because it comes last even if it is defined first.
    """
    is_after = False
    for name, module in model.named_modules():
        own = [*module.named_parameters(name, recurse=False), *module.named_buffers(name, recurse=False)]
        is_after = is_after or any(is_below_any(tensor, trainable) and not head.covers(tensor) for tensor, _ in own)
        if is_after and not module.state_dict() and not [*module.buffers()]:
            yield module
