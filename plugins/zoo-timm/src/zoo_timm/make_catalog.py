"""Write ``catalog.json`` from the installed timm: ``python -m zoo_timm.make_catalog``.

It builds every architecture on the meta device, which takes several minutes and little memory. The accuracies in the
present catalog are kept; `zoo_timm.add_accuracies` reads them again.
"""

from __future__ import annotations

import gc
import importlib.metadata
import sys

import timm

from zoo_timm.add_accuracies import list_accuracies, with_accuracies
from zoo_timm.catalog import CATALOG, dump_catalog, load_catalog
from zoo_timm.reading import read_backbone


def main() -> None:
    """Read all architectures and write the catalog."""
    names = timm.list_models()
    specs = []
    for place, name in enumerate(names, 1):
        specs.append(read_backbone(name))
        gc.collect()  # Modules refer to each other, so only the garbage collector frees a model.
        sys.stderr.write(f"\r{place}/{len(names)} {name:<60}")  # noqa: TID251  # timm's own names
    sys.stderr.write("\n")  # noqa: TID251  # ends the line
    upstream = f"timm=={importlib.metadata.version('timm')}"
    before = load_catalog(CATALOG.read_text(encoding="utf-8"))
    specs = with_accuracies(specs, list_accuracies(before.backbones.values()))
    CATALOG.write_text(dump_catalog(upstream, before.accuracies, specs), encoding="utf-8")


if __name__ == "__main__":
    main()
