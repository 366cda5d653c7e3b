"""The parts of run.json that others may see: no folders of this machine, and no names of image files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Stands for what is omitted.
OMITTED = "omitted"
_ABSOLUTE = re.compile(r"([a-z][a-z0-9_-]+:)?(/(?!/)|~|\\\\|[A-Za-z]:[/\\])|file:", re.IGNORECASE)
#: A URL, or a prefix as in ``hf:owner/name``. One letter is a Windows drive.
_NOT_A_PATH = re.compile(r"[a-z][a-z0-9_-]+:", re.IGNORECASE)
#: What a reason may not contain, because it looks like a path or the name of a file.
_PATH_IN_TEXT = re.compile(r"[/\\]|\.\w")


def hide_folders(value: str) -> str:
    """Return the last part of an absolute path, and any other value unchanged."""
    found = _ABSOLUTE.match(value)
    return (found[1] or "") + _take_last(value) if found else value


def name_data(data: Mapping[str, Any]) -> str:
    """Return the value of `data` for others: of a path, only the last part.

    Args:
        data: The field of the same name in run.json.
    """
    asked = str(data["asked"])
    is_path = not (data.get("source") or data.get("is_object") or _NOT_A_PATH.match(asked))
    return _take_last(asked) if is_path else hide_folders(asked)


def make_public(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of run.json for others. `zoo.files.schema.Run` describes it, too.

    The counts of all findings and the classes that they are about are kept, because the accuracies depend on them.
    """
    data = facts["data"]
    shown = {
        **data,
        "asked": name_data(data),
        "source": data.get("source") and _hide_all(data["source"]),
        "left_out": [{"path": OMITTED, "reason": _hide_reason(item["reason"])} for item in data["left_out"]],
        "findings": [{**found, "listed": _list_classes(found)} for found in data.get("findings", ())],
        "paths_omitted": True,
    }
    hidden = {name: _hide_all(facts[name]) for name in ("weights", "network") if facts.get(name)}
    # Of the options, only the weights are a path. A regular expression or a class may begin with a slash.
    recipe = {**facts["recipe"], **_hide_all({"weights": facts["recipe"].get("weights")})}
    return {**facts, **hidden, "recipe": recipe, "data": shown}


def _take_last(path: str) -> str:
    return re.split(r"[/\\:]", path.rstrip("/\\"))[-1] or "images"


def _hide_all(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: hide_folders(value) if isinstance(value, str) else value for name, value in values.items()}


def _hide_reason(reason: str) -> str:
    return OMITTED if _PATH_IN_TEXT.search(reason) else reason


def _list_classes(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """List the classes of a finding about classes. Those about images and groups have a path or no class."""
    return [
        {"class_name": item["class_name"]} for item in found["listed"] if "class_name" in item and "path" not in item
    ]
