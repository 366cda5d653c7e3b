"""Looks at a plugin, or at some of its backbones, as far as was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import OptionError
from zoo.progress import Progress
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import CHECKS, LEVELS, Check, Level
from zoo.testing.results.fingerprint import Fingerprints
from zoo.testing.results.result import BAD, Result
from zoo.testing.results.results_file import ResultsFile
from zoo.testing.runner import Scope, check_backbone, check_plugin
from zoo.testing.select import choose_backbones, count_params

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec


#: Backbones above which what is wrong is told as it comes, and not only at the end.
PATIENCE = 12


@dataclass(frozen=True)
class Inquiry:
    """What is asked for."""

    level: Level = "cpu"
    #: What the checks' names begin with.
    only: str = ""
    #: Larger backbones are looked at up to level meta.
    max_params: int | None = None
    #: Only the smallest backbone of each family.
    each_family: bool = False
    #: How many processes at a time.
    processes: int = 1
    #: A file that results are kept in, and taken from.
    save: Path | None = None

    def scope_for(self, backbone: BackboneSpec) -> Scope:
        """Return how far to look at a backbone."""
        is_large = self.max_params is not None and count_params(backbone) > self.max_params
        return Scope("meta" if is_large and self.level in ("cpu", "network") else self.level, self.only)

    @property
    def needs_models(self) -> bool:
        """Whether any check that is asked for looks at more than declarations."""
        return any(check.level != "static" for check in self._list_asked())

    def refuse_impossible(self) -> None:
        """Raise OptionError for what cannot be meant."""
        if not self._list_asked():
            rooms = ", ".join(dict.fromkeys(f"{check.name.partition('.')[0]}." for check in CHECKS))
            elsewhere = sorted({check.level for check in CHECKS if check.name.startswith(self.only)}, key=LEVELS.index)
            cure = f"give --level {elsewhere[0]}" if elsewhere else f"all begin with {rooms}"
            raise OptionError(f"no check on level {self.level} begins with {self.only!r}; {cure}.")
        if self.save is not None and not self.needs_models:
            raise OptionError("--save keeps what takes long; static checks take no time, and are not kept.")

    def _list_asked(self) -> list[Check]:
        return [check for check in CHECKS if check.name.startswith(self.only) and check.is_within(self.level)]


@dataclass(frozen=True)
class Target:
    """What is looked at: a plugin with all its backbones, or with one."""

    plugin: PluginUnderTest
    backbone: BackboneSpec | None = None

    @property
    def name(self) -> str:
        """A namespace, or a backbone's full name."""
        return self.plugin.namespace if self.backbone is None else self.backbone.name

    def list_backbones(self, *, each_family: bool) -> list[BackboneSpec]:
        """List the backbones, or the smallest of each family."""
        all_of_it = self.plugin.backbones if self.backbone is None else (self.backbone,)
        return choose_backbones(all_of_it, each_family=True) if each_family else [*all_of_it]


def find_target(name: str, find_plugin: Callable[[str], PluginUnderTest] = examine) -> Target:
    """Find what a namespace or a backbone's full name stands for.

    Args:
        name: either of them.
        find_plugin: gives the plugin of a namespace; one that remembers spares loading it for each of its backbones.

    Raises:
        NameNotFound: no such plugin is installed, or it has no such backbone.
        PluginError: the plugin failed to look for it.
    """
    namespace, slash, _ = name.partition("/")
    plugin = find_plugin(namespace)
    return Target(plugin, plugin.get_backbone(name) if slash else None)


def conduct(target: Target, inquiry: Inquiry, progress: Progress) -> Iterator[Result]:
    """Look at a plugin and its backbones, or at one backbone and its plugin; yields results in the order of listing.

    Args:
        target: what is looked at.
        inquiry: what is asked for.
        progress: told what goes on.

    Raises:
        OptionError: no check on that level is called so, or nothing is there to be kept.
        RunError: the file to keep results in cannot be used.
    """
    inquiry.refuse_impossible()
    yield from check_plugin(target.plugin, Scope(inquiry.level, inquiry.only))
    backbones = target.list_backbones(each_family=inquiry.each_family)
    found: dict[str, list[Result]] = {}
    with progress.track(f"checking {target.name}", len(backbones)) as advance:
        for results in _look(target.plugin, backbones, inquiry, progress):
            advance(1)
            found[results[0].backbone] = results
            for result in results:
                if result.status in BAD and len(backbones) > PATIENCE:
                    progress.say(f"{result.status}: {result.backbone} {result.check}: {result.reason}")
    for backbone in backbones:
        yield from found[backbone.name]


def _look(
    plugin: PluginUnderTest, backbones: list[BackboneSpec], inquiry: Inquiry, progress: Progress
) -> Iterator[list[Result]]:
    if not inquiry.needs_models:
        yield from (check_backbone(plugin, backbone, inquiry.scope_for(backbone)) for backbone in backbones)
    elif inquiry.save is None:
        yield from _look_at_models(plugin, backbones, inquiry)
    else:
        yield from _look_or_remember(plugin, backbones, inquiry, progress)


def _look_at_models(
    plugin: PluginUnderTest, backbones: Iterable[BackboneSpec], inquiry: Inquiry
) -> Iterator[list[Result]]:
    from zoo.testing.isolation.workers import check_many

    jobs = [(backbone.name, inquiry.scope_for(backbone)) for backbone in backbones]
    yield from check_many(plugin, jobs, inquiry.processes)


def _look_or_remember(
    plugin: PluginUnderTest, backbones: list[BackboneSpec], inquiry: Inquiry, progress: Progress
) -> Iterator[list[Result]]:
    assert inquiry.save is not None
    journal, fingerprints = ResultsFile(inquiry.save), Fingerprints(plugin)
    asked = {
        backbone.name: (backbone.name, inquiry.scope_for(backbone), fingerprints.find(backbone))
        for backbone in backbones
    }
    found = {name: journal.find(*question) for name, question in asked.items()}
    known = [results for results in found.values() if results is not None]
    todo = [backbone for backbone in backbones if found[backbone.name] is None]
    if known:
        progress.say(f"{inquiry.save} holds the results of {len(known):,} of {len(backbones):,} backbones")
    if outdated := sum(journal.is_outdated(*asked[backbone.name]) for backbone in todo):
        progress.say(
            f"{inquiry.save} holds results of {outdated:,} from other code or versions; they are looked at again"
        )
    yield from known
    for results in _look_at_models(plugin, todo, inquiry):
        _, scope, fingerprint = asked[results[0].backbone]
        journal.add(results, scope, fingerprint)
        yield results
