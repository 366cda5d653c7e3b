"""Sources of plugins, and folders in which plugins are installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREAMBLE = """
from zoo.plugin import BackboneSpec, BlockSpec, DatasetSpec, InputSpec, WeightsSpec, hookimpl

ZOO_API = 1


def spec(name, **changes):
    facts = dict(name=name, family="f", build=print, head=("fc",), blocks=(BlockSpec("b", ("b",)),))
    return BackboneSpec(**{**facts, "params": 5, "license": "MIT", **changes})


"""

#: A module that lists NAMESPACE/net.
LISTS = PREAMBLE + "@hookimpl\ndef zoo_backbones():\n    return [spec('NAMESPACE/net')]\n"


def hook(*lines: str, name: str = "zoo_backbones", arguments: str = "") -> str:
    """Return the source of a module with one hook, whose body is the given lines."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"{PREAMBLE}@hookimpl\ndef {name}({arguments}):\n{body}"


#: What BOTH prints between the outputs of the commands.
SEPARATOR = "\f"
#: Lists backbones and then plugins in one process.
BOTH = f"""
import sys
import zoo.__main__
import zoo.cli
sys.argv = ["zoo", "list", "--json"]
try:
    zoo.cli.main()
except SystemExit as end:
    assert not end.code
print({SEPARATOR!r})
sys.argv = ["zoo", "plugins", "--json"]
zoo.__main__.run()
"""


@dataclass
class Site:
    """A folder of installed distributions."""

    folder: Path

    def add(
        self, namespace: str, source: str = LISTS, *, distribution: str | None = None, entry_points: str | None = None
    ) -> None:
        distribution = distribution or f"zoo-{namespace}"
        module = f"plugin_{distribution}".replace("-", "_").replace(".", "_").lower()
        info = self.info(distribution)
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(entry_points or f"[zoo]\n{namespace} = {module}\n")
        (self.folder / f"{module}.py").write_text(source.replace("NAMESPACE", namespace))

    def info(self, distribution: str) -> Path:
        return self.folder / f"{distribution.replace('-', '_')}-1.5.dist-info"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "zoo", *arguments, **environment)

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, *arguments],
            env={
                **clean,
                "PYTHONPATH": path,
                "XDG_CONFIG_HOME": str(self.folder),
                "ZOO_CACHE": str(self.folder / "cache"),
                **environment,
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def list_names(self, **environment: str) -> list[str]:
        result = self.run("list", "--json", **environment)
        assert result.returncode == 0, result.stderr
        return [row["name"] for row in json.loads(result.stdout)]

    def list_and_describe(self) -> tuple[list[str], dict[str, Any]]:
        """Return the output of ``zoo list --json`` and of ``zoo plugins --json``, both run in one process."""
        result = self.python("-c", BOTH)
        assert result.returncode == 0, result.stderr
        listed, described = map(json.loads, result.stdout.split(SEPARATOR))
        return [row["name"] for row in listed], {row["distribution"]: row for row in described}

    def describe(self, **environment: str) -> dict[str, Any]:
        """Return the output of ``zoo plugins --json`` by distribution."""
        result = self.run("plugins", "--json", **environment)
        assert result.returncode == 0, result.stderr
        return {row["distribution"]: row for row in json.loads(result.stdout)}
