"""Write results as a page: ``python -m zoo.testing.results.markdown_page RESULTS.jsonl >docs/conformance.md``.

The page shows the number of results by family and status, and the reasons of checks that do not apply or fail.
"""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from zoo.errors import NameNotFound, RunError
from zoo.progress.printable import escape_markdown, escape_unencodable, make_printable
from zoo.testing.plugin_under_test import PluginUnderTest, examine
from zoo.testing.promises import CHECKS, LEVELS
from zoo.testing.results.place import PLACE
from zoo.testing.results.result import BAD, count_statuses
from zoo.testing.results.results_file import Entry, ResultsFile
from zoo.testing.runner import check_plugin

TITLE = """# Conformance

This page shows the results of `zoo check` by family, and lists every check that does not apply or fails, with the
reason. The [reference](reference/conformance.md) explains the checks and their statuses, and
[contributing](../CONTRIBUTING.md) explains how to generate this page.
"""

SECTIONS = {
    "n/a": "Not applicable",
    "xfail": "Expected failures",
    "fail": "Failed checks",
    "error": "Errors",
    "xpass": "Passed, although declared as expected failures",
}


def write_page(entries: Iterable[Entry]) -> str:
    """Return the page in Markdown, from each backbone's last entry at its highest level.

    Entries with only some of the checks are ignored.

    Raises:
        RunError: If there are no entries, or they are from different versions.
    """
    full = sorted((entry for entry in entries if not entry.scope.only), key=_get_rank)
    latest = sorted({entry.backbone: entry for entry in full}.values(), key=_get_namespace)
    if not latest:
        raise RunError("there are no results; to save some, run `zoo check NAMESPACE --save FILE`.")
    parts = [TITLE, _write_versions(latest)]
    for namespace, own in groupby(latest, _get_namespace):
        parts += _write_plugin(examine(namespace), list(own))
    return "\n".join(parts)


def _get_rank(entry: Entry) -> int:
    return LEVELS.index(entry.scope.level)


def _get_namespace(entry: Entry) -> str:
    return entry.backbone.partition("/")[0]


def _write_versions(entries: Sequence[Entry]) -> str:
    versions = sorted({version for entry in entries for version in entry.fingerprint.versions.items()})
    counts = Counter(name for name, _ in versions)
    if mixed := [name for name, count in counts.items() if count > 1]:
        raise RunError(f"the results are from different versions of {', '.join(mixed)}; recheck all with one version.")
    checked = escape_markdown(", ".join(f"{name} {version}" for name, version in versions))
    return f"Checked with {checked}.\n"


def _write_plugin(plugin: PluginUnderTest, entries: Sequence[Entry]) -> Iterator[str]:
    families: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        families[plugin.get_backbone(entry.backbone).family].append(entry)
    yield f"## {plugin.namespace}\n"
    yield f"The plugin itself: {count_statuses(check_plugin(plugin))} checks.\n"
    heads = ("family", "backbones", "run on CPU", "pass", "n/a", "xfail", "failed", "not run", "total")
    rows = [(escape_markdown(family), *_count(own)) for family, own in sorted(families.items())]
    yield _write_table(heads, [*rows, ("**all**", *_count(entries))])
    for status, title in SECTIONS.items():
        if reasons := list(_list_reasons(families, status)):
            yield f"### {title}\n"
            yield _write_table(("check", "reason", "backbones", "families"), reasons)
    if without := sorted(entry.backbone for entry in entries if entry.scope.level == "meta"):
        names = escape_markdown(", ".join(without))
        yield f"### Checked only up to level meta\n\n{len(without)} of {len(entries)}: {names}.\n"


def _count(entries: Sequence[Entry]) -> list[str]:
    """Return the numbers in the row of a family."""
    counts = Counter(result.status for entry in entries for result in entry.results)
    on_cpu = sum(entry.scope.level != "meta" for entry in entries)
    failed = sum(counts[status] for status in BAD)
    by_status = counts["pass"], counts["n/a"], counts["xfail"], failed, counts["not-run"]
    return [f"{number:,}" for number in (len(entries), on_cpu, *by_status, counts.total())]


def _list_reasons(families: Mapping[str, list[Entry]], status: str) -> Iterator[tuple[str, ...]]:
    """Yield one row for each check and reason, in the order of the checks."""
    found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for family, entries in families.items():
        for result in (result for entry in entries for result in entry.results if result.status == status):
            # The lines of code differ between machines and versions.
            found[result.check, re.sub(f" {PLACE.pattern}", "", result.reason)][family] += 1
    places = {check.name: place for place, check in enumerate(CHECKS)}
    for (check, reason), of in sorted(found.items(), key=lambda item: (places[item[0][0]], item[0][1])):
        named = "all" if len(of) == len(families) else escape_markdown(", ".join(of))
        yield check, escape_markdown(reason), f"{of.total():,}", named


def _write_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main() -> None:
    """Read the results files given as arguments, and print the page."""
    escape_unencodable()
    try:
        entries = [entry for name in sys.argv[1:] for entry in ResultsFile(Path(name)).entries]
        print(write_page(entries), end="")  # noqa: T201  # the page goes to stdout
    except (NameNotFound, RunError) as error:
        sys.exit(make_printable(f"Error: {error}"))


if __name__ == "__main__":
    main()
