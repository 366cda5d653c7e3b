"""Candidates are the backbones with weights on this machine, and those that the user names."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.errors import NameNotFound, OptionError
from zoo.progress import Silent
from zoo.registry.registry import Registry
from zoo.training.rank.candidates import Candidate, Filters, list_candidates


def find(registry: Registry, *asked: str, **filters: Any) -> list[Candidate]:
    return list_candidates(asked, Filters(**filters), registry, Silent())


def test_without_names_all_backbones_with_weights_on_this_machine_are_candidates(registry: Registry) -> None:
    assert [one.name for one in find(registry)] == ["acme/here@HERE"]


def test_a_pattern_finds_only_weights_on_this_machine(registry: Registry) -> None:
    assert [one.name for one in find(registry, "acme/*")] == ["acme/here@HERE"]


def test_fetch_adds_the_default_weights_that_are_not_here(registry: Registry) -> None:
    assert [one.name for one in find(registry, "acme/*", fetch=True)] == ["acme/gone@GONE", "acme/here@HERE"]


def test_a_named_backbone_without_weights_here_has_a_problem(registry: Registry) -> None:
    (one,) = find(registry, "gone")
    assert one.problem == "its weights are not on this machine; add `fetch` to download them"
    assert one.license == "MIT"


def test_files_are_candidates_and_a_name_can_occur_several_times(registry: Registry, files: list[str]) -> None:
    found = find(registry, *(f"net={file}" for file in (*files, files[0])))
    assert [one.name for one in found] == [f"acme/net={file}" for file in files]
    assert [one.weights for one in found] == files


def test_the_tag_before_a_file_says_which_weights_it_contains(registry: Registry, files: list[str]) -> None:
    (one,) = find(registry, f"here@HERE={files[1]}")
    assert one.published is not None
    assert (one.published.accuracy, one.license) == (70.0, "Apache-2.0")


def test_a_backbone_without_published_weights_has_a_problem(registry: Registry) -> None:
    (one,) = find(registry, "net")
    assert one.problem is not None
    assert one.problem.startswith("acme/net has no published weights")


@pytest.mark.parametrize("filters", [{"max_params": 5_000}, {"license": "apache-2.0"}], ids=str)
def test_filters_leave_candidates_out(registry: Registry, filters: dict[str, Any]) -> None:
    assert [one.name for one in find(registry, "here", "gone", **filters)] == ["acme/here@HERE"]


@pytest.mark.parametrize(("name", "error"), [("here=", OptionError), ("here@", NameNotFound)])
def test_an_empty_file_or_tag_is_an_error(registry: Registry, name: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"'{name}' has no (file|tag) after the"):
        find(registry, name)


def test_filters_that_leave_nothing_are_an_error(registry: Registry) -> None:
    with pytest.raises(OptionError, match="none of 1 candidates meets `max_params` and `license`"):
        find(registry, max_params=1)


def test_a_pattern_that_matches_nothing_is_an_error(registry: Registry) -> None:
    with pytest.raises(NameNotFound, match=r"no backbone matches 'x\*'"):
        find(registry, "here", "x*")


def test_a_pattern_whose_weights_are_not_here_is_an_error(registry: Registry) -> None:
    with pytest.raises(OptionError, match="none of 1 matching backbones has weights on this machine; add `fetch`"):
        find(registry, "g*")


def test_all_backbones_are_never_fetched_without_a_limit(registry: Registry) -> None:
    with pytest.raises(OptionError, match="would download the weights of all backbones"):
        find(registry, fetch=True)
    assert len(find(registry, fetch=True, max_params=10_000_000)) == 2
