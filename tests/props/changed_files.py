"""Files that are changed at random and read: zoo accepts each, or refuses it with an error of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from acme import INPUT, build_acme, make_acme
from mutations import mutate, mutate_bytes
from run_facts import make_facts
from toml_text import write_toml
from zoo.engine.state import TrainingState
from zoo.errors import ZooError
from zoo.models.head import replace_head
from zoo.models.weights.header import Header
from zoo.progress import Silent
from zoo.registry.head_design import HeadDesign
from zoo.registry.plugins.load import Plugin
from zoo.registry.recipe import make_recipe
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import load_registry_toml
from zoo.runs.classifier import load
from zoo.runs.compare import compare_runs
from zoo.runs.lock import RunLock
from zoo.runs.model_file import load_header
from zoo.runs.report.context import make_context
from zoo.training.resume import find_earlier, require_same_run
from zoo.training.summary import report_changes

HEADER = Header("acme/net", None, "linear", ("blue", "red"), INPUT, "none", "none")
EPOCH = {
    "epoch": 1, "train_loss": 0.5, "train_accuracy": 0.5, "val_loss": 0.5, "val_accuracy": 0.5, "lr": 0.1,
    "train_seconds": 1.0, "seconds": 1.0, "phase": 1,
}  # fmt: skip
STATE = {
    "feed": "images", "phase": 0, "done": 3, "history": [EPOCH], "steps": 3, "parts": 1, "scaler": {},
    "lap": {"step": 1, "count": 8, "lr": 0.1, "seconds": 1.0},
}  # fmt: skip
CHECKPOINT = {"format": 1, "run": make_facts(resumed=[2]), "state": STATE}
RUN = make_facts(
    test={**make_facts()["val"], "confusion": {"true": [0, 0], "predicted": [0, 1], "images": [90, 10]}},
    baseline={"gain": 0.1, "accuracy": 0.5, "split": "val"},
)
SETTINGS = {
    "resolve": {"order": ["torchvision", "acme"]},
    "aliases": {"ours": "acme/net@one", "theirs": "net"},
    "datasets": {
        "pets": {
            "url": "https://example.org/pets.zip", "sha256": "0" * 64, "size": 5, "root": "pets", "license": "MIT",
            "description": "photos of pets",
        }
    },
    "recipes": {"careful": {"expected": "98%", "train": "all", "weight-decay": 0.1, "epochs": 3, "mixup": 0.2}},
}  # fmt: skip


def read_header(folder: Path, seed: int | None) -> None:
    """Change and read the header of a model file."""
    marks = ("format", "zoo_format")
    fields = {name: json.loads(value) for name, value in HEADER.to_metadata().items() if name not in marks}
    changed = {name: json.dumps(value) for name, value in _change(fields, seed).items()}
    content = save({"weight": torch.ones(1)}, metadata={"zoo_format": "1", **changed})
    path = folder / "model.safetensors"
    path.write_bytes(_change_bytes(content, seed))
    header = load_header(path)
    assert all(isinstance(name, str) for name in header.classes)
    assert len(header.input.size) == 3


def read_model(folder: Path, seed: int | None) -> None:
    """Change the header of a model file, and load the model as `zoo predict` does."""
    path = folder / "model.safetensors"
    model = build_acme(None)
    replace_head(make_acme(), model, len(HEADER.classes), HeadDesign())
    fields = dataclasses.asdict(HEADER)
    changed = {name: json.dumps(value) for name, value in _change(fields, seed).items()}
    path.write_bytes(_change_bytes(save(model.state_dict(), metadata={"zoo_format": "1", **changed}), seed))
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))])
    classifier = load(path, device="cpu", registry=registry)
    assert len(classifier.classes) == 2


def read_run(folder: Path, seed: int | None) -> None:
    """Change and read run.json, as `zoo compare` and ``--resume`` do."""
    (folder / "model.safetensors").write_bytes(b"")
    content = json.dumps(_change(RUN, seed)).encode()
    (folder / "run.json").write_bytes(_change_bytes(content, seed))
    (compared,) = compare_runs([folder])
    assert 0 <= compared.low <= compared.high <= 1
    assert isinstance(compared.epochs, int)
    _resume(folder)


def read_state(folder: Path, seed: int | None) -> None:
    """Change and read a checkpoint, as ``--resume`` does."""
    (folder / "checkpoints").mkdir(exist_ok=True)
    for name in ("model.safetensors", "checkpoints/begun.json"):
        (folder / name).write_bytes(b"")
    metadata = {"facts": json.dumps(_change(CHECKPOINT, seed))}
    content = _change_bytes(save({"model.weight": torch.ones(1)}, metadata=metadata), seed)
    path = folder / "checkpoints" / "00000003.safetensors"
    path.write_bytes(content)
    path.with_suffix(".sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    _resume(folder)


def read_settings(folder: Path, seed: int | None) -> None:
    """Change and read registry.toml, and use everything that it defines."""
    path = folder / "registry.toml"
    path.write_bytes(_change_bytes(write_toml(_change(SETTINGS, seed)), seed))
    settings = load_registry_toml([path])
    texts = [*settings.order, *settings.aliases, *settings.aliases.values(), *settings.datasets, *settings.recipes]
    assert all(isinstance(text, str) and text.isprintable() for text in texts)
    assert all(recipe.expected.isprintable() for recipe in settings.recipes.values())
    registry = Registry([], settings)
    uses: list[Callable[[], object]] = [lambda: registry.resolve("net"), registry.list_datasets]
    uses += [lambda name=name: registry.resolve(name) for name in settings.aliases]
    uses += [lambda recipe=recipe: make_recipe(dict(recipe.options)) for recipe in settings.recipes.values()]
    for use in uses:
        try:
            use()
        except ZooError as error:
            _require_description(error)


#: Functions that change and read a file, by kind of file. Each gets a folder and the seed of
#: the change; None leaves the file unchanged.
READERS: dict[str, Callable[[Path, int | None], None]] = {
    "header": read_header, "model": read_model, "run.json": read_run, "checkpoint": read_state,
    "registry.toml": read_settings,
}  # fmt: skip

#: Function whose absence must cause failures, by kind of file.
VALIDATIONS = {
    "header": "zoo.files.validation.check",
    "model": "zoo.files.validation.check",
    "run.json": "zoo.files.validation.check",
    "checkpoint": "zoo.training.resume.check",
    "registry.toml": "zoo.files.validation.check",
}


def find_failure(kind: str, folder: Path, seed: int) -> str | None:
    """Change and read one file. Return a description if the result is neither valid nor an error of zoo."""
    own = folder / f"folder of {kind} files"
    own.mkdir(exist_ok=True)
    try:
        READERS[kind](own, seed)
    except ZooError as error:
        try:
            _require_description(error)
        except AssertionError:
            return f"{kind} {seed}: a message without a reason: {error}"
    except Exception as error:  # noqa: BLE001  # any other exception is a failure
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{kind} {seed}: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error!s:.200}"
    return None


def find_failures(kind: str, folder: Path, seeds: Iterable[int]) -> Iterator[str]:
    """Yield the failures of many changes."""
    return (failure for seed in seeds if (failure := find_failure(kind, folder, seed)))


def _resume(folder: Path) -> None:
    with RunLock() as lock:
        earlier = find_earlier(folder, lock, Silent())
    if earlier is None:
        return
    report_changes(earlier.facts, make_facts(), Silent())
    if earlier.checkpoint:
        state = TrainingState(torch.nn.Linear(1, 1), earlier.checkpoint)
        assert all(isinstance(epoch.epoch, int) for epoch in state.history)
        assert state.batches >= 0
        make_context({**make_facts(), **_list_kept(earlier.facts)}, earlier.checkpoint.facts["history"] or [EPOCH])
    require_same_run(earlier.facts, make_facts(), folder)


def _list_kept(facts: Any) -> dict[str, Any]:
    """Return the fields that a resumed run takes over from its checkpoint."""
    assert isinstance(facts.get("seconds", 0.0), (int, float))
    return {name: facts[name] for name in ("best", "val", "epochs", "seconds", "started") if name in facts}


def _require_description(error: ZooError) -> None:
    assert len(str(error)) > 20


def _change(document: Any, seed: int | None) -> Any:
    """Change the document, unless the bytes are changed."""
    return document if seed is None or seed % 4 == 0 else mutate(document, seed)


def _change_bytes(content: bytes, seed: int | None) -> bytes:
    """Change the bytes of every fourth file."""
    return mutate_bytes(content, seed) if seed is not None and seed % 4 == 0 else content
