"""Write ``catalog.json``: ``python -m zoo_transformers.make_catalog``.

The names and values are those in ``checkpoints.toml``, and the facts are read from the installed transformers.

It builds every backbone on the meta device, which takes several minutes and little memory.
"""

from __future__ import annotations

import gc
import importlib.metadata
import sys

from zoo_transformers.catalog import CATALOG, Entry, dump_catalog
from zoo_transformers.facts import Facts
from zoo_transformers.known import read_known
from zoo_transformers.reading import list_switches, read_facts


def main() -> None:
    """Read all backbones and write the catalog."""
    known = read_known()
    gc.freeze()  # The modules of transformers stay, so looking through them each time would only take time.
    entries: dict[str, Entry] = {}
    first: dict[str, Facts] = {}
    for place, (name, (architecture, checkpoint)) in enumerate(known.items(), 1):
        kind = repr(list_switches(architecture))
        facts = first[kind] = read_facts(architecture, first.get(kind))
        entries[name] = Entry(facts, checkpoint)
        gc.collect()  # Modules refer to each other, so only the garbage collector frees a model.
        sys.stderr.write(f"\r{place}/{len(known)} {name:<60}")  # noqa: TID251  # names of this package
    sys.stderr.write("\n")  # noqa: TID251  # ends the line
    upstream = f"transformers=={importlib.metadata.version('transformers')}"
    CATALOG.write_text(dump_catalog(upstream, entries), encoding="utf-8")


if __name__ == "__main__":
    main()
