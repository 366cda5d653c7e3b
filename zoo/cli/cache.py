"""``zoo cache``."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from zoo.cli.output import format_count, format_table, json_option, print_json
from zoo.cli.streams import print_lines, print_notes
from zoo.errors import CacheError
from zoo.files.cache import KINDS, Entry, cache_folder, find_linked, list_entries, list_others, remove


@click.group(name="cache")
def command() -> None:
    """List or clear the cache folder."""


@command.command(name="list")
@json_option
def show(as_json: bool) -> None:
    """List the entries of the cache folder and their sizes."""
    entries = [entry for kind in KINDS for entry in list_entries(kind)]
    if as_json:
        print_json([_to_json(entry) for entry in entries])
        return
    rows = [(entry.kind, entry.describe(), format_count(entry.size), _format_day(entry)) for entry in entries]
    if rows:
        print_lines(*format_table([("KIND", "ENTRY", "BYTES", "LAST USED"), *rows], right=(2,)))
    print_notes(f"{_format_sum(entries)} in {cache_folder()}")


@command.command(name="clear", short_help="Remove entries from the cache folder.")
@click.argument("kind", type=click.Choice([*KINDS, "all"]), default="features")
def clear(kind: str) -> None:
    """Remove all entries of one kind from the cache folder, or all entries.

    Without an argument, removes the features. Removed entries are computed or downloaded again when they are needed.
    Other files in the cache folder are kept.
    """
    kinds = [name for name in KINDS if kind in (name, "all")]
    entries, others = (
        [e for name in kinds for e in list_entries(name)],
        [o for name in kinds for o in list_others(name)],
    )
    _refuse_foreign(kinds, entries, others)
    for entry in entries:
        try:
            remove(entry)
        except OSError as error:
            raise CacheError(f"{entry.path} cannot be removed: {error.strerror or error}.") from error
    print_lines(f"removed {_format_sum(entries)} from {cache_folder()}")
    if others:
        print_notes(f"note: kept {_format_others(others)}, which zoo did not create")


def _refuse_foreign(kinds: list[str], entries: list[Entry], others: list[Path]) -> None:
    """Raise CacheError if a subfolder is a link, or if nothing in them comes from zoo."""
    for path in filter(None, map(find_linked, kinds)):
        raise CacheError(f"{path} is a link, and zoo does not follow links to remove files; remove the files yourself.")
    if others and not entries:
        raise CacheError(
            f"zoo did not create {_format_others(others)}, and there is nothing else to remove; to use a different "
            "folder, set ZOO_CACHE."
        )


def _format_others(others: list[Path]) -> str:
    more = len(others) - 1
    return f"{others[0]}{f' and {more} more' if more else ''}"


def _to_json(entry: Entry) -> dict[str, object]:
    return {"kind": entry.kind, "what": entry.describe(), "path": str(entry.path), "bytes": entry.size}


def _format_day(entry: Entry) -> str:
    return dt.datetime.fromtimestamp(entry.used).astimezone().date().isoformat()


def _format_sum(entries: list[Entry]) -> str:
    count = len(entries)
    return f"{count} {'entry' if count == 1 else 'entries'}, {format_count(sum(e.size for e in entries))} bytes"
