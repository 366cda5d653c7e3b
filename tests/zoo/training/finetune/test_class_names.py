from __future__ import annotations

import os
from pathlib import Path

import pytest

from quick_runs import QUICK, read_facts
from zoo.errors import DataError
from zoo.registry.registry import Registry
from zoo.runs.model_file import load_header
from zoo.training.finetune import finetune


@pytest.mark.parametrize(
    "names",
    [
        ("ä ö", "猫"),
        ('"quoted"', "it's"),
        ("<b>bold<b>", "a|b"),
        ("{classes}", "%s"),
        ("back\\slash", "`code`"),
    ],
)
def test_printable_class_names_are_written_and_read_back(
    registry: Registry, photos: Path, output: Path, names: tuple[str, str]
) -> None:
    for split in ("train", "val"):
        for old, new in zip(("blue", "red"), names, strict=True):
            (photos / split / old).rename(photos / split / new)
    finetune("net", photos, output=output, registry=registry, **QUICK)
    assert read_facts(output)["classes"] == sorted(names)
    assert load_header(output / "model.safetensors").classes == tuple(sorted(names))


@pytest.mark.parametrize("name", [b"caf\xe9", b"caf\n", b"caf\x1b[31m", b"caf\x7f"])
def test_an_unprintable_class_name_is_refused_before_training(
    registry: Registry, photos: Path, output: Path, name: bytes
) -> None:
    for split in ("train", "val"):
        (photos / split / "blue").rename(photos / split / os.fsdecode(name))
    with pytest.raises(DataError, match=r"the folder 'caf\\.* has an unprintable name; rename it\."):
        finetune("net", photos, output=output, registry=registry, **QUICK)
    assert not output.exists()
