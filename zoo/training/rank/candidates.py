"""The backbones to be ranked: those with weights on this machine, and those that the user names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoo.errors import NameNotFound, OptionError, WeightsError
from zoo.models.weights.choose import WeightsSource, choose_weights
from zoo.models.weights.locate import is_on_this_machine
from zoo.plugin import BackboneSpec, WeightsSpec
from zoo.progress import Progress
from zoo.registry.registry import Registry, list_backbones
from zoo.registry.resolved import Resolved

#: Characters of a pattern.
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which candidates are ranked; None and False mean no limit."""

    #: Whether weights that are not on this machine are downloaded.
    fetch: bool = False
    max_params: int | None = None
    #: SPDX identifier of the license of the weights, in any case.
    license: str | None = None
    min_images_per_second: float | None = None

    def accept(self, backbone: BackboneSpec, license: str) -> bool:
        """Return whether the number of parameters and the license are accepted."""
        is_small = self.max_params is None or backbone.params <= self.max_params
        return is_small and (self.license is None or self.license.lower() == license.lower())


@dataclass(frozen=True)
class Candidate:
    """A backbone with some weights."""

    #: ``namespace/name@TAG``, or ``namespace/name=FILE``.
    name: str
    resolved: Resolved
    #: The weights; None if they could not be chosen.
    source: WeightsSource | None
    #: File that the user passed, or None.
    file: str | None = None
    #: Why the weights cannot be used, or None.
    problem: str | None = None

    @property
    def weights(self) -> str:
        """The tag of the weights, or the path of the file."""
        return self.file or self.name.rpartition("@")[2]

    @property
    def published(self) -> WeightsSpec | None:
        """The published weights, or those whose tag the user gave for a file; None if they are unknown."""
        if self.source and self.source.weights:
            return self.source.weights
        return self.resolved.backbone.get_weights(self.resolved.tag) if self.resolved.tag else None

    @property
    def license(self) -> str:
        """The license of the weights, or ``unknown``."""
        stated = self.source.license if self.source else None
        return stated or (self.published.license if self.published else "unknown")


def list_candidates(
    asked: Sequence[str], filters: Filters, registry: Registry, progress: Progress
) -> list[Candidate]:  # fmt: skip
    """Return the candidates, each once.

    Args:
        asked: Names with an optional ``@TAG`` and ``=FILE``, and patterns. None of them means all backbones.
        filters: Which of them to rank.
        registry: Where to look up backbones.
        progress: Receives a note about the number of backbones that were left out.

    Raises:
        NameNotFound: If there is no backbone with a name, or that matches a pattern.
        OptionError: If there are no candidates.
    """
    if not asked and filters.fetch and filters.max_params is None and filters.license is None:
        raise OptionError(
            "`fetch` would download the weights of all backbones; name backbones, or set `max_params` or `license`."
        )
    missing: list[str] = []
    found = [one for item in asked or ("*",) for one in _find(item, filters, registry, missing)]
    accepted = {one.name: one for one in found if filters.accept(one.resolved.backbone, one.license)}
    if not accepted:
        raise OptionError(_explain_empty(asked, len(found), len(missing)))
    if missing and asked:
        progress.say(f"note: {len(missing)} matching backbones have no weights on this machine; `fetch` downloads them")
    return list(accepted.values())


def _find(item: str, filters: Filters, registry: Registry, missing: list[str]) -> Iterator[Candidate]:
    name, equals, file = item.partition("=")
    if equals and not file:
        raise OptionError(f"{item!r} has no file after the =; pass NAME=FILE, or the name alone.")
    if equals or not _WILDCARDS & set(name):
        yield _open(registry.resolve(name), file or None, fetch=filters.fetch)
        return
    matches = list_backbones(name, registry)
    if not matches:
        raise NameNotFound(f"no backbone matches {item!r}; `zoo list` shows all backbones.")
    for backbone in matches:
        here = [weights for weights in backbone.weights if is_on_this_machine(weights)]
        if not here and backbone.weights and filters.fetch:
            here = [backbone.weights[0]]
        if not here and backbone.weights and filters.accept(backbone, backbone.weights[0].license):
            missing.append(backbone.name)
        yield from (_open(Resolved(item, backbone, weights.tag), None, fetch=True) for weights in here)


def _open(resolved: Resolved, file: str | None, *, fetch: bool) -> Candidate:
    """Return a candidate, with a problem if its weights cannot be used."""
    name = f"{resolved.name}={file}" if file else resolved.name
    try:
        source = choose_weights(resolved, file)
    except (OptionError, WeightsError) as error:
        return Candidate(name, resolved, None, file, str(error))
    if file is None:
        name = f"{resolved.backbone.name}@{source.label}"
    problem = None
    if source.is_random or source.is_own:
        problem = "its weights are random, so there is nothing to rank"
    elif source.weights and not fetch and not is_on_this_machine(source.weights):
        problem = "its weights are not on this machine; add `fetch` to download them"
    return Candidate(name, resolved, source, file, problem)


def _explain_empty(asked: Sequence[str], found: int, missing: int) -> str:
    if found:
        return f"none of {found} candidates meets `max_params` and `license`; use other limits."
    matching = f"none of {missing} matching backbones has" if asked else "no backbone has"
    return (
        f"{matching} weights on this machine; add `fetch` to download them, or pass files, such as "
        "resnet18=weights.safetensors."
    )
