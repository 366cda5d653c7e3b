"""Bad and odd files of every kind, in train, val, test and predict: each command reports each of them, and finishes."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from acme import make_acme
from bad_files import BAD_FILES, UNSUPPORTED
from odd_images import ODD_IMAGES
from odd_trees import NAMES, SPLITS, OddTree, digest_tree, plant_odd_tree
from quick_runs import QUICK_FLAGS, read_facts
from unprivileged import obeying_permissions
from zoo.cli import main
from zoo.registry.plugins.load import Plugin
from zoo.registry.registry import Registry
from zoo.registry.registry_toml import RegistryToml


@dataclass(frozen=True)
class Answers:
    """What the commands printed about a tree."""

    tree: OddTree
    check: dict[str, Any]
    run: dict[str, Any]
    #: run.json of a run that treats the tree as a large data set.
    large: dict[str, Any]
    #: By split.
    evaluate: dict[str, dict[str, Any]]
    predict: list[dict[str, Any]]
    table: list[dict[str, str]]
    #: Of each file, given by its path.
    alone: list[dict[str, Any]]
    digests: tuple[str, str]

    def relate(self, path: str) -> str:
        return Path(path).relative_to(self.tree.top).as_posix()


def print_answer(*arguments: object) -> str:
    """Run ``zoo``, which must exit with 0, and return what it printed on stdout."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", ["zoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
    assert end.value.code == 0, arguments
    return out.getvalue()


@pytest.fixture(scope="module")
def acme_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install only the plugin acme, use a separate cache, and make zoo believe that pillow-heif is missing."""
    registry = Registry([Plugin("acme", "zoo-acme", "1.0", backbones=(make_acme(),))], RegistryToml())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("zoo.registry.registry.open_registry", lambda: registry)
        patch.setattr("zoo.engine.allocator.keep_freed_memory", lambda: None)
        patch.setattr("zoo.data.file_kinds.find_spec", lambda _: None)
        yield


@pytest.fixture(scope="module")
def answers(acme_alone: None, tmp_path_factory: pytest.TempPathFactory) -> Answers:  # noqa: ARG001  # It installs acme.
    folder = tmp_path_factory.mktemp("odd")
    tree = plant_odd_tree(folder)
    (folder / "zoo.toml").write_text("workers = 0\n", encoding="utf-8")
    before, output, device = digest_tree(tree.top), folder / "run", ("--device", "cpu")
    alone = sorted(path for path in tree.top.rglob("*") if not path.is_dir() and path.name != "archive.zip")
    with obeying_permissions():
        check = print_answer("data", "check", tree.top, "--json")
        train = partial(
            print_answer, "finetune", "net", "--data", tree.top, *QUICK_FLAGS, "--config", folder / "zoo.toml"
        )
        assert train("--output", output) == f"{output}\n"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ZOO_MAX_EXAMINED_IMAGES", "1")
            train("--output", folder / "large")
        evaluate = partial(print_answer, "evaluate", output, "--data", tree.top, *device, "--json", "--split")
        predict = partial(print_answer, "predict", output, *device)
        return Answers(
            tree,
            json.loads(check),
            read_facts(output),
            read_facts(folder / "large"),
            {split: json.loads(evaluate(split)) for split in (*SPLITS, "all")},
            json.loads(predict(tree.top, "--json")),
            list(csv.DictReader(predict(tree.top, "--csv").splitlines())),
            json.loads(predict("--json", *alone)),
            (before, digest_tree(tree.top)),
        )


def match_reasons(expected: dict[str, str], found: dict[str, str]) -> None:
    assert found.keys() == expected.keys()
    assert {path: reason for path, reason in found.items() if not reason.startswith(expected[path])} == {}


def test_there_are_more_than_a_hundred_kinds() -> None:
    assert len(ODD_IMAGES) + len(BAD_FILES) + len(UNSUPPORTED) + len(NAMES) > 100


def test_data_check_reports_each_file(answers: Answers) -> None:
    findings = [(item["kind"], answers.relate(item["path"]), item["detail"]) for item in answers.check["findings"]]
    match_reasons(answers.tree.skipped, {path: detail for kind, path, detail in findings if kind == "skipped"})
    others = sorted((kind, path) for kind, path, _ in findings if kind != "skipped")
    assert others == sorted(answers.tree.findings)
    assert answers.check["images"] == dict(answers.tree.images)


def test_the_run_records_each_file(answers: Answers) -> None:
    data = answers.run["data"]
    match_reasons(answers.tree.skipped, {answers.relate(item["path"]): item["reason"] for item in data["left_out"]})
    counts = Counter((kind, path.partition("/")[0]) for kind, path in answers.tree.findings)
    assert {(item["kind"], item["split"]): item["count"] for item in data["findings"]} == counts
    listed = {(item["kind"], answers.relate(one["path"])) for item in data["findings"] for one in item["listed"]}
    assert listed == answers.tree.findings
    assert data["images"] == dict(answers.tree.images)


def test_a_run_on_a_large_data_set_records_each_file_that_it_cannot_read(answers: Answers) -> None:
    left_out = answers.large["data"]["left_out"]
    match_reasons(answers.tree.skipped, {answers.relate(item["path"]): item["reason"] for item in left_out})
    assert len(left_out) == len(answers.tree.skipped)


@pytest.mark.parametrize("split", [*SPLITS, "all"])
def test_an_evaluation_counts_and_reports_the_files_of_its_split(answers: Answers, split: str) -> None:
    found, images = answers.evaluate[split], answers.tree.images
    assert found["images"] == (images.total() if split == "all" else images[split])
    skipped = answers.tree.skipped
    match_reasons(
        {path: reason for path, reason in skipped.items() if split in ("all", path.partition("/")[0])},
        {answers.relate(item["path"]): item["reason"] for item in found["left_out"]},
    )


def test_predictions_contain_each_file(answers: Answers) -> None:
    errors = {answers.relate(item["path"]): item["error"] for item in answers.predict if "error" in item}
    match_reasons(answers.tree.skipped, errors)
    assert len(answers.predict) == len(answers.tree.skipped) + answers.tree.images.total()


def test_the_table_of_predictions_contains_each_file(answers: Answers) -> None:
    assert len(answers.table) == len(answers.predict)
    assert [bool(row["error"]) for row in answers.table] == ["error" in item for item in answers.predict]


def test_each_file_can_be_passed_by_its_own_path(answers: Answers) -> None:
    found = {answers.relate(item["path"]): item.get("error", "") for item in answers.alone}
    unreadable = {path for path in answers.tree.skipped if path.rpartition("/")[2] in BAD_FILES}
    assert all(found[path].startswith(answers.tree.skipped[path]) for path in unreadable)
    assert not any(error for path, error in found.items() if (answers.tree.top / path).name in ODD_IMAGES)


def test_no_command_changes_the_data(answers: Answers) -> None:
    before, after = answers.digests
    assert before == after
