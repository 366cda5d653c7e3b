"""What the listing hooks of a plugin return: the specs that can be used, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import pluggy

from zoo.errors import PluginError
from zoo.plugin import BackboneSpec, DatasetSpec, SourceSpec
from zoo.plugin.made_specs import MadeSpecs
from zoo.registry.plugins.isolation import failing_as_plugin_error
from zoo.registry.plugins.place import find_place

T = TypeVar("T")
Named = TypeVar("Named", BackboneSpec, DatasetSpec)


@dataclass(frozen=True)
class Listed(Generic[T]):
    """The specs of a plugin that can be used, and a problem for each of the others."""

    specs: tuple[T, ...]
    problems: tuple[PluginError, ...] = ()


def list_specs(caller: pluggy.HookCaller, kind: type[T], made: MadeSpecs) -> Listed[T]:
    """Call a hook and list the specs that it returns or yields.

    A hook that raises after it has yielded some specs takes only the specs after them away.

    Args:
        caller: The hook.
        kind: Type of the specs.
        made: Record of the specs that the plugin created.
    """
    specs: list[T] = []
    problems: list[PluginError] = []
    try:
        with failing_as_plugin_error():
            for spec in _iterate(caller, kind):
                fault = made.find_fault(spec)
                if not isinstance(spec, kind):
                    problems.append(PluginError(f"it lists {spec!r:.80}, which is not a {kind.__name__}."))
                elif fault is not None:
                    problems.append(fault)
                else:
                    specs.append(spec)
    except PluginError as error:
        problems.append(_describe_end(error, caller.name, specs))
    return Listed(tuple(specs), tuple(problems))


def _iterate(caller: pluggy.HookCaller, kind: type) -> Iterator[object]:
    """Call a hook and yield what it returns or yields."""
    wanted = f"it must return {kind.__name__}s, or yield them"
    results: list[object] = caller()
    if caller.get_hookimpls() and not results:
        raise PluginError(f"{caller.name} returns nothing; {wanted}.")
    for result in results:
        if not isinstance(result, Iterable):
            raise PluginError(f"{caller.name} returns {result!r:.80}; {wanted}.")
        yield from result


def _describe_end(error: PluginError, hook: str, specs: list[T]) -> PluginError:
    """Add to an error after which specs it was raised, and where."""
    place = find_place(error.__cause__ or error)
    if not specs or place in str(error):
        return error
    name = getattr(specs[-1], "name", None) or getattr(specs[-1], "prefix", None)
    described = PluginError(f"{hook} fails after {name}: {str(error).rstrip('.')} ({place}).")
    described.__cause__ = error.__cause__ or error
    return described


def leave_out_unusable_names(listed: Listed[Named], namespace: str) -> Listed[Named]:
    """Leave out specs whose name is outside the plugin's namespace, or was listed before."""
    usable: dict[str, Named] = {}
    problems: dict[str, PluginError] = {}
    for spec in listed.specs:
        if not spec.name.startswith(f"{namespace}/"):
            problems[spec.name] = PluginError(f"it lists {spec.name}; its names must begin with {namespace}/.")
        elif spec.name in usable:
            problems[spec.name] = PluginError(f"it lists {spec.name} more than once.")
        else:
            usable[spec.name] = spec
    return Listed(tuple(usable.values()), (*listed.problems, *problems.values()))


def leave_out_unusable_prefixes(listed: Listed[SourceSpec], namespace: str) -> Listed[SourceSpec]:
    """Leave out data sources whose prefix belongs to another plugin, or was listed before."""
    usable: dict[str, SourceSpec] = {}
    problems: dict[str, PluginError] = {}
    for source in listed.specs:
        prefix = source.prefix
        if prefix != namespace and not prefix.startswith(f"{namespace}-"):
            message = f"it lists the data source {prefix}:; its prefixes must begin with {namespace}."
            problems[prefix] = PluginError(message)
        elif prefix in usable:
            problems[prefix] = PluginError(f"it lists the data source {prefix}: more than once.")
        else:
            usable[prefix] = source
    return Listed(tuple(usable.values()), (*listed.problems, *problems.values()))
