"""The kit reads the files of a run as JSON, and needs transformers only for files that are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from zoo.plugin import BackboneSpec, InputSpec
from zoo.registry.registry import open_registry
from zoo.testing.backbone_under_test import BackboneUnderTest
from zoo.testing.checks.build import files
from zoo.testing.results.result import CannotCheck, NotApplicable
from zoo.testing.run_files import CLASSES, call_run_files

Content = Mapping[str, Mapping[str, Any]]


def describe(classes: Sequence[str], given: InputSpec) -> Content:
    """Return files with a key that JSON does not have; it becomes a string."""
    return {"config.json": {"id2label": dict(enumerate(classes)), "size": given.size}}


def describe_for_transformers(classes: Sequence[str], _given: InputSpec) -> Content:
    return {"config.json": {"model_type": "vit", "id2label": dict(enumerate(classes))}}


@pytest.fixture
def tiny() -> BackboneSpec:
    return open_registry().resolve("tiny").backbone


def test_the_content_is_what_upstream_reads_from_the_files(tiny: BackboneSpec) -> None:
    found = call_run_files(replace(tiny, run_files=describe))
    assert found == {"config.json": {"id2label": {"0": CLASSES[0], "1": CLASSES[1]}, "size": [*tiny.input.size]}}


def test_files_of_another_library_are_not_given_to_transformers(
    tiny: BackboneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.testing.run_files.find_spec", lambda _name: pytest.fail("it looks for transformers"))
    files(BackboneUnderTest("tiny", replace(tiny, run_files=describe)))


def test_files_of_transformers_cannot_be_checked_without_it(
    tiny: BackboneSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.testing.run_files.find_spec", lambda _name: None)
    with pytest.raises(CannotCheck, match="transformers is not installed, and run_files returns files for it"):
        files(BackboneUnderTest("tiny", replace(tiny, run_files=describe_for_transformers)))


def test_a_backbone_without_run_files_has_nothing_to_check(tiny: BackboneSpec) -> None:
    with pytest.raises(NotApplicable, match="it declares no run_files"):
        files(BackboneUnderTest("tiny", tiny))
