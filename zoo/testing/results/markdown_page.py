"""Writes kept results as a page: ``python -m zoo.testing.results.markdown_page RESULTS.jsonl >docs/conformance.md``.

By family, what was looked at and what came of it; then each promise that is not made or not kept, with its reason.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from zoo.errors import NameNotFound, RunError
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import CHECKS, LEVELS
from zoo.testing.results.result import count_statuses
from zoo.testing.results.results_file import Entry, ResultsFile
from zoo.testing.runner import check_plugin

TITLE = """# Conformance

What `zoo check` found, by family, and every promise that is not made or not kept, with its reason. The checks and their
statuses: [reference](reference/conformance.md). How this page is made: [contributing](../CONTRIBUTING.md).
"""

SECTIONS = {
    "n/a": "Not promised",
    "xfail": "Known to fail",
    "fail": "Broken",
    "error": "Errors",
    "xpass": "Kept, though declared to fail",
}


_RANKS: Mapping[str, int] = {level: rank for rank, level in enumerate(LEVELS)}


def write_page(entries: Iterable[Entry]) -> str:
    """Write the page in Markdown; of several entries of a backbone the last on the highest level counts.

    Entries of some checks only are passed over.

    Raises:
        RunError: there are no entries, or they were made with different versions.
    """
    whole = sorted((entry for entry in entries if not entry.only), key=lambda entry: _RANKS[entry.level])
    latest = list({entry.backbone: entry for entry in whole}.values())
    if not latest:
        raise RunError("there are no results; `zoo check NAMESPACE --save FILE` keeps some.")
    by_plugin: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in latest:
        by_plugin[entry.backbone.partition("/")[0]].append(entry)
    parts = [TITLE, _write_versions(latest)]
    for namespace, own in sorted(by_plugin.items()):
        parts += _write_plugin(examine(namespace), own)
    return "\n".join(parts)


def _write_versions(entries: Sequence[Entry]) -> str:
    versions: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for name, version in entry.versions.items():
            versions[name].add(version)
    if mixed := [name for name, found in versions.items() if len(found) > 1]:
        raise RunError(f"the results are of different versions of {', '.join(mixed)}; look at all with the same.")
    shown = ", ".join(f"{name} {found.pop()}" for name, found in sorted(versions.items()))
    return f"Looked at with {shown}.\n"


def _write_plugin(plugin: PluginUnderTest, entries: Sequence[Entry]) -> Iterator[str]:
    families: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        families[plugin.get_backbone(entry.backbone).family].append(entry)
    yield f"## {plugin.namespace}\n"
    yield f"The plugin itself: {count_statuses(check_plugin(plugin))} checks.\n"
    heads = ("family", "backbones", "on the CPU", "passed", "n/a", "known to fail", "broken", "not run", "of")
    rows = [(family, *_count(own)) for family, own in sorted(families.items())]
    yield _write_table(heads, [*rows, ("**all**", *_count(entries))])
    for status, title in SECTIONS.items():
        if reasons := list(_list_reasons(families, status)):
            yield f"### {title}\n"
            yield _write_table(("check", "reason", "backbones", "of the families"), reasons)
    if without := sorted(entry.backbone for entry in entries if entry.level == "meta"):
        yield f"### Looked at without values\n\n{len(without)} up to level meta: {', '.join(without)}.\n"


def _count(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield the cells of a row of figures."""
    counts = Counter(result.status for entry in entries for result in entry.results)
    broken = counts["fail"] + counts["error"] + counts["xpass"]
    on_cpu = sum(entry.level != "meta" for entry in entries)
    passed, excused, expected, not_run = (counts[status] for status in ("pass", "n/a", "xfail", "not-run"))
    for number in (len(entries), on_cpu, passed, excused, expected, broken, not_run, counts.total()):
        yield f"{number:,}"


def _list_reasons(families: Mapping[str, list[Entry]], status: str) -> Iterator[tuple[str, ...]]:
    """Yield one row for each check and reason, in the order of the checks."""
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for family, entries in families.items():
        for result in (result for entry in entries for result in entry.results if result.status == status):
            found[result.check, result.reason][family] += 1
    places = {check.name: place for place, check in enumerate(CHECKS)}
    for (check, reason), of in sorted(found.items(), key=lambda item: (places[item[0][0]], item[0][1])):
        named = "all" if len(of) == len(families) else ", ".join(of)
        yield check, reason.replace("|", "\\|"), f"{of.total():,}", named


def _write_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Read the files that are named, and print the page."""
    try:
        entries = [entry for name in sys.argv[1:] for entry in ResultsFile(Path(name)).entries]
        print(write_page(entries), end="")  # noqa: T201  # this is what it is for
    except (NameNotFound, RunError) as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
