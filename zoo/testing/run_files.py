"""Call ``run_files`` of a backbone, and let transformers build the network from the files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.models.weights.header import Header
from zoo.plugin import BackboneSpec
from zoo.runs.export.upstream_files import build_upstream_files
from zoo.runs.folder import CONFIG, PREPROCESSOR
from zoo.testing.isolation.constructors import LinesFailed, Shapes, run_without_zoo
from zoo.testing.isolation.side_effects import watch_side_effects
from zoo.testing.results.result import CannotCheck, CheckFailed

#: Names of the classes of the run.
CLASSES = ("cat", "mañana")
LABELS = "labels.json"
Files = Mapping[str, Mapping[str, Any]]


def call_run_files(spec: BackboneSpec) -> Files:
    """Call ``run_files`` twice in an empty folder, and return the content of the files as JSON has it.

    Raises:
        CheckFailed: If the second call has side effects, writes files itself or returns something else.
        PluginError: If it fails, or if it returns files that zoo does not accept.
    """
    header = Header(spec.name, None, "linear", CLASSES, spec.input, weights="none", weights_license="none")
    with TemporaryDirectory() as folder:
        with contextlib.chdir(folder):
            first = build_upstream_files(spec, header)  # imports what it needs
            with watch_side_effects(first=False) as effects:
                second = build_upstream_files(spec, header)
        written = sorted(path.name for path in Path(folder).iterdir())
    traces = [*effects.traces, *(f"connects to {address}" for address in effects.connections[:1])]
    if written:
        traces.append(f"writes {written[0]!r} into the working directory")
    if traces:
        raise CheckFailed(
            f"run_files {' and '.join(traces)}; it must only return the content of the files, which zoo writes.",
            effects.place,
        )
    if _encode(first) != _encode(second):
        raise CheckFailed("run_files returns different files each time; they must depend only on its arguments.")
    decoded: Files = json.loads(_encode(second))
    return decoded


def _encode(files: Files) -> str:
    return json.dumps(dict(files))


def build_with_transformers(files: Files, *, on_meta_device: bool) -> Shapes:
    """Let transformers build the network from its own files, where zoo cannot be imported.

    Returns:
        The shapes of the network's parameters and buffers, keyed by their names.

    Raises:
        CannotCheck: If transformers is not installed.
        CheckFailed: If it cannot read the files, or if the configuration lacks the names of the classes.
    """
    if find_spec("transformers") is None:
        raise CannotCheck("transformers is not installed, and run_files returns files for it")
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_text(json.dumps(content), encoding="utf-8")
        try:
            shapes = run_without_zoo(_list_lines(folder, files), on_meta_device=on_meta_device)
        except LinesFailed as failure:
            raise CheckFailed(
                f"with the files of run_files, transformers {failure}; return files that it can load."
            ) from failure
        labels = json.loads(Path(folder, LABELS).read_text(encoding="utf-8"))
    if labels != [*CLASSES]:
        raise CheckFailed(
            f"with the files of run_files, the classes in transformers are {labels}, not {[*CLASSES]}; "
            f"declare them as id2label in {CONFIG}."
        )
    return shapes


def _list_lines(folder: str, files: Files) -> list[str]:
    reads = PREPROCESSOR in files
    return [
        f"import os; os.chdir({folder!r})",
        "import json; from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification",
        "config = AutoConfig.from_pretrained('.', trust_remote_code=False)",
        *(["AutoImageProcessor.from_pretrained('.', trust_remote_code=False)"] if reads else []),
        f"json.dump([config.id2label[key] for key in sorted(config.id2label)], open({LABELS!r}, 'w'))",
        "model = AutoModelForImageClassification.from_config(config)",
    ]
