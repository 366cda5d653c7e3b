"""Run checks on a plugin, or on some of its backbones."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from zoo.errors import OptionError
from zoo.plugin import BackboneSpec
from zoo.progress import Progress
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import CHECKS, LEVELS, Level
from zoo.testing.results.causes import find_cause
from zoo.testing.results.fingerprint import take_fingerprints
from zoo.testing.results.result import BAD, Result
from zoo.testing.results.results_file import ResultsFile
from zoo.testing.runner import Scope, check_backbone, check_plugin
from zoo.testing.select import choose_backbones, count_params

#: Number of backbones above which each cause of failures is reported as it occurs instead of only at the end.
PATIENCE = 12


class Target(NamedTuple):
    """A plugin with the backbones to check."""

    #: A namespace, or the full name of the only backbone.
    name: str
    plugin: PluginUnderTest
    backbones: tuple[BackboneSpec, ...]


def find_target(name: str, find_plugin: Callable[[str], PluginUnderTest] = examine) -> Target:
    """Find the plugin or backbone with the given name.

    Args:
        name: A namespace, or a backbone's full name.
        find_plugin: Function that returns the plugin of a namespace. Pass a cached function to load each plugin once.

    Raises:
        NameNotFound: If no such plugin is installed, or it has no such backbone.
        PluginError: If the plugin fails to look up the backbone.
    """
    namespace, slash, _ = name.partition("/")
    plugin = find_plugin(namespace)
    return Target(name, plugin, (plugin.get_backbone(name),) if slash else plugin.backbones)


def find_targets(names: Iterable[str], find_plugin: Callable[[str], PluginUnderTest] = examine) -> list[Target]:
    """Find plugins and backbones as `find_target` does, and join those of a plugin.

    The plugin is then checked once, and several processes can check its backbones at the same time.
    """
    joined: dict[str, Target] = {}
    for name in dict.fromkeys(names):
        found = find_target(name, find_plugin)
        namespace = found.plugin.namespace
        if namespace in joined:
            earlier = joined[namespace].backbones
            known = [backbone.name for backbone in earlier]
            new = (backbone for backbone in found.backbones if backbone.name not in known)
            found = Target(namespace, found.plugin, (*earlier, *new))
        joined[namespace] = found
    return [*joined.values()]


@dataclass(frozen=True)
class Suite:
    """The checks to run, and the backbones to run them on.

    Raises:
        OptionError: If no check at that level has the prefix, or `save` is set for static checks.
    """

    level: Level = "cpu"
    #: Prefix of the names of the checks.
    only: str = ""
    #: Number of parameters above which a backbone is checked only up to level meta.
    max_params: int | None = None
    #: Whether to check only the smallest backbone of each family.
    each_family: bool = False
    #: Maximum number of processes that run at the same time.
    processes: int = 1
    #: File that results are saved to and read from.
    save: Path | None = None

    def __post_init__(self) -> None:
        named = [check for check in CHECKS if check.name.startswith(self.only)]
        if not any(check.is_within(self.level) for check in named):
            prefixes = ", ".join(dict.fromkeys(f"{check.name.partition('.')[0]}." for check in CHECKS))
            levels = sorted({check.level for check in named}, key=LEVELS.index)
            advice = f"use --level {levels[0]}" if levels else f"check names begin with one of {prefixes}"
            raise OptionError(f"no check name at level {self.level} begins with {self.only!r}; {advice}.")
        if self.save is not None and not self.needs_models:
            raise OptionError("results of static checks are not saved, because they are quick; remove --save.")

    @property
    def needs_models(self) -> bool:
        """Whether any of the checks needs a model."""
        return any(
            check.level != "static" and check.is_within(self.level) and check.name.startswith(self.only)
            for check in CHECKS
        )

    def scope_for(self, backbone: BackboneSpec) -> Scope:
        """Return the scope of a backbone's checks."""
        is_large = self.max_params is not None and count_params(backbone) > self.max_params
        return Scope("meta" if is_large and self.level in ("cpu", "network") else self.level, self.only)

    def run(self, target: Target, progress: Progress) -> Iterator[Result]:
        """Check a plugin and its backbones, or one backbone and its plugin; yield results in the listed order.

        Raises:
            RunError: If the results file cannot be used.
        """
        yield from check_plugin(target.plugin, Scope(self.level, self.only))
        backbones = choose_backbones(target.backbones, each_family=self.each_family)
        found: dict[str, list[Result]] = {}
        causes: set[Hashable] = set()  # those that were reported
        with progress.track(f"checking {target.name}", len(backbones)) as advance:
            for results in self._check(target.plugin, backbones, progress):
                advance(1)
                found[results[0].backbone] = results
                for result in results:
                    if result.status in BAD and len(backbones) > PATIENCE and find_cause(result) not in causes:
                        causes.add(find_cause(result))
                        progress.say(f"{result.status}: {result.backbone} {result.check}: {result.reason}")
        for backbone in backbones:
            yield from found[backbone.name]

    def _check(
        self, plugin: PluginUnderTest, backbones: Sequence[BackboneSpec], progress: Progress
    ) -> Iterator[list[Result]]:
        if not self.needs_models:
            yield from (check_backbone(plugin, backbone, self.scope_for(backbone)) for backbone in backbones)
        elif self.save is None:
            yield from self._check_models(plugin, backbones)
        else:
            yield from self._resume(plugin, backbones, ResultsFile(self.save), progress)

    def _check_models(self, plugin: PluginUnderTest, backbones: Sequence[BackboneSpec]) -> Iterator[list[Result]]:
        from zoo.testing.isolation.workers import check_many

        jobs = [(backbone.name, self.scope_for(backbone)) for backbone in backbones]
        yield from check_many(plugin, jobs, self.processes)

    def _resume(
        self, plugin: PluginUnderTest, backbones: Sequence[BackboneSpec], file: ResultsFile, progress: Progress
    ) -> Iterator[list[Result]]:
        """Yield the results in the file, then check the other backbones and save their results."""
        fingerprints = take_fingerprints(plugin, backbones)
        wanted = {
            backbone.name: (backbone.name, self.scope_for(backbone), fingerprints[backbone.name])
            for backbone in backbones
        }
        known = {name: results for name, entry in wanted.items() if (results := file.find(*entry))}
        if known:
            progress.say(f"{self.save} already contains the results of {len(known):,} of {len(backbones):,} backbones")
        if outdated := sum(file.is_outdated(*wanted[name]) for name in wanted.keys() - known.keys()):
            count = f"{outdated:,} of {len(backbones):,} backbones"
            progress.say(f"rechecking {count}: their results in {self.save} are from different code or versions")
        yield from known.values()
        for results in self._check_models(plugin, [backbone for backbone in backbones if backbone.name not in known]):
            _, scope, fingerprint = wanted[results[0].backbone]
            file.add(results, scope, fingerprint)
            yield results
