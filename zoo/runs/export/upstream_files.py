"""The files with which timm and transformers load a run folder, such as config.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from zoo.errors import PluginError
from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec
from zoo.progress import Progress
from zoo.registry.plugins.isolation import naming_place
from zoo.runs.export.timm_config import build_config, find_architecture
from zoo.runs.folder import CONFIG, MODEL, PREPROCESSOR, RunFolder
from zoo.runs.model_file import load_header

#: Names of the files that a plugin may write.
NAMES = (CONFIG, PREPROCESSOR)


def write_upstream_files(folder: RunFolder, backbone: BackboneSpec, progress: Progress) -> None:
    """Write the files with which upstream loads a run folder, if upstream can build the run's model.

    If the plugin fails, this is reported, and the folder has no such files: the model is trained by then, and nothing
    else needs them.

    Raises:
        RunError: If the model cannot be read, the disk is full or the folder is gone.
    """
    header = load_header(folder.path / MODEL)
    try:
        files = build_upstream_files(backbone, header)
    except PluginError as error:
        progress.say(f"warning: upstream cannot load the run folder: {error}")
        return
    for name, content in files.items():
        folder.write_json(name, content)


def build_upstream_files(backbone: BackboneSpec, header: Header) -> Mapping[str, Mapping[str, Any]]:
    """Return the content of the files, by name; it is empty if upstream cannot build the model.

    Raises:
        PluginError: If the backbone's plugin fails, or returns other files or something else than JSON.
    """
    if architecture := find_architecture(backbone, header.head):
        return {CONFIG: build_config(architecture, header, backbone)}
    if backbone.run_files is None or header.head != "linear":
        return {}
    failed = f"{backbone.name} fails in run_files"
    with naming_place(failed):
        files = backbone.run_files(header.classes, header.input)
    if not isinstance(files, Mapping) or not files.keys() <= {*NAMES}:
        found = ", ".join(map(repr, files)) if isinstance(files, Mapping) else type(files).__name__
        raise PluginError(f"{failed}: it returns {found}; return a mapping of {' and '.join(NAMES)} to their content.")
    if odd := [name for name, content in files.items() if not isinstance(content, Mapping)]:
        kind = type(files[odd[0]]).__name__
        raise PluginError(f"{failed}: the content of {odd[0]} is a {kind}; return a mapping.")
    try:
        json.dumps(dict(files), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{failed}: it returns values that JSON does not have: {error}.") from error
    return files
