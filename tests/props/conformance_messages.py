"""Write docs/reference/conformance-messages.md: every message of the conformance kit, with what to do.

The messages are read from the source. The page itself keeps what to do, so this script changes only the messages:

    .venv/bin/python tests/props/conformance_messages.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "conformance-messages.md"
#: Exceptions whose messages the kit shows.
RAISED = ("CheckFailed", "NotApplicable", "CannotCheck", "PluginError")
#: Title of each section, and the modules whose messages it contains.
SECTIONS = {
    "The plugin": (
        "zoo/testing/checks/plugin.py", "zoo/testing/plugin_under_test.py", "zoo/registry/plugins/listed.py",
        "zoo/registry/plugins/load.py", "zoo/plugin/made_specs.py",
    ),
    "Data sets": ("zoo/testing/drawn_data.py",),
    "Trackers": ("zoo/testing/tracking.py",),
    "The spec": (
        "zoo/testing/checks/spec.py", "zoo/plugin/fields.py", "zoo/testing/spdx.py", "zoo/testing/signatures.py",
    ),
    "The input": ("zoo/testing/checks/input.py", "zoo/testing/inputs/cause.py"),
    "Building": (
        "zoo/testing/checks/build.py", "zoo/testing/isolation/constructors.py", "zoo/models/untrained.py",
        "zoo/testing/run_files.py", "zoo/runs/export/upstream_files.py",
    ),
    "The forward pass": ("zoo/testing/checks/forward.py", "zoo/testing/passes.py", "zoo/models/output_field.py"),
    "The head": ("zoo/testing/checks/head.py", "zoo/models/head.py", "zoo/models/added_head.py"),
    "The blocks": ("zoo/testing/checks/blocks.py", "zoo/models/blocks.py"),
    "Training": (
        "zoo/testing/checks/learn.py", "zoo/testing/checks/freeze.py", "zoo/testing/declared_parameters.py",
    ),
    "Saving": ("zoo/testing/checks/save.py",),
    "Capabilities": ("zoo/testing/checks/can.py", "zoo/testing/checkpointing.py", "zoo/models/channels.py"),
    "Published weights": ("zoo/testing/checks/weights.py", "zoo/models/weights/converting.py"),
    "All checks": ("zoo/testing/runner.py",),
}  # fmt: skip
#: Fewest words of a variable or result that is a message; shorter ones are names and parts.
LEAST_WORDS = 3


def list_messages(module: str) -> list[str]:
    """List the messages of a module, with ``…`` for each value."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    # In zoo.models, variables and results are not messages.
    found = _list_messages(tree, raised_only=module.startswith("zoo/models/"))
    return list(dict.fromkeys(text for _, text in sorted(found, key=lambda item: item[0])))


def find_unlisted_modules() -> list[str]:
    """List the modules of the kit that raise messages and are in no section."""
    listed = {module for modules in SECTIONS.values() for module in modules}
    found = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "zoo" / "testing").rglob("*.py")))
    return [module for module in found if module not in listed and _raises_messages(module)]


def _raises_messages(module: str) -> bool:
    calls = (node.func for node in ast.walk(ast.parse((ROOT / module).read_text())) if isinstance(node, ast.Call))
    return any(isinstance(name, ast.Name) and name.id in RAISED[:3] for name in calls)


def _list_messages(tree: ast.AST, *, raised_only: bool) -> Iterator[tuple[int, str]]:
    """Yield the texts of exceptions, and of variables and results that become part of one, with their lines."""
    for node in ast.walk(tree):
        texts: list[ast.expr] = []
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISED:
            texts = node.args[:1]
        elif not raised_only and (text := _find_part(node)):
            texts = [text]
        least = 1 if isinstance(node, ast.Call) else LEAST_WORDS
        for text in texts:
            found = (found for found in _read_texts(text) if len(re.findall(r"[a-z]{2,}", found)) >= least)
            yield from ((text.lineno, one) for one in found)


def _find_part(node: ast.AST) -> ast.expr | None:
    """Return what becomes part of a message: the value of some variables, or a result."""
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("fault", "message", "advice"):
        return node.value
    return node.value if isinstance(node, ast.Return) else None


def _read_texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from (*_read_texts(node.body), *_read_texts(node.orelse))
    elif isinstance(node, ast.Tuple):
        for part in node.elts:
            yield from _read_texts(part)
    elif isinstance(node, (ast.JoinedStr, ast.Constant)):
        yield " ".join(_render(node).split()).replace("|", "\\|")


def _render(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_render, node.values))
    if isinstance(node, ast.FormattedValue):
        return "…"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def read_advice(page: str) -> dict[str, str]:
    """Map the messages on the page to what to do."""
    return dict(re.findall(r"^\| (.+?) \| (.*?) \|$", page, flags=re.MULTILINE))


def write_page(page: str) -> str:
    """Return the page with the messages of the source, and with what to do from the old page."""
    advice, parts = read_advice(page), [page.partition("\n## ")[0].rstrip() + "\n"]
    for title, modules in SECTIONS.items():
        rows = [f"| {text} | {advice.get(text, '')} |" for module in modules for text in list_messages(module)]
        parts.append("\n".join([f"## {title}\n", "| message | what to do |", "|---|---|", *dict.fromkeys(rows)]) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(write_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
