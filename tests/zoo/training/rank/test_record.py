"""Candidates that the images cannot tell apart share a rank, and at most two are suggested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from zoo.training.rank.record import Ranked, assign_ranks, compare, list_suggested, order, suggest
from zoo.training.rank.scores import Scores

COUNT = 200


def correct(wrong: range) -> Tensor:
    """Return which of the images are classified correctly."""
    found = torch.ones(COUNT, dtype=torch.bool)
    found[list(wrong)] = False
    return found


def make(name: str, rank: int | None, catalog: float | None = None) -> Ranked:
    return Ranked(
        name=name, rank=rank, backbone=name, weights="V1", catalog=catalog, params=1, license="MIT", images=COUNT
    )  # fmt: skip


def list_reasons(records: Sequence[Ranked], networks: str = "") -> dict[str, tuple[str, ...]]:
    """Return the reasons for each suggestion; equal letters of ``networks`` are the same network."""
    names = [record.name for record in records]
    found = suggest(records, dict(zip(names, networks or names, strict=True)))
    return {record.name: record.suggested for record in found if record.suggested}


def test_candidates_with_the_same_mistakes_share_a_rank() -> None:
    assert assign_ranks([correct(range(10)), correct(range(10))]) == [1, 1]


def test_mistakes_on_the_same_images_tell_candidates_apart_that_separate_intervals_would_not() -> None:
    one, other = correct(range(20)), correct(range(28))
    assert assign_ranks([one, other]) == [1, 2]


def test_a_difference_that_may_be_chance_gives_the_same_rank() -> None:
    assert assign_ranks([correct(range(10)), correct(range(100, 113))]) == [1, 1]


def test_a_lower_accuracy_never_has_a_better_rank() -> None:
    worse_but_paired, worst_but_noisy = correct(range(38)), correct(range(150, 189))
    assert compare(correct(range(30)), worse_but_paired).low > 0 >= compare(correct(range(30)), worst_but_noisy).low
    assert assign_ranks([correct(range(30)), worse_but_paired, worst_but_noisy]) == [1, 1, 1]


def test_the_next_group_is_ranked_after_all_of_the_first() -> None:
    lists = [range(10), range(12), range(40), range(41), range(90)]
    assert assign_ranks([correct(each) for each in lists]) == [1, 1, 3, 3, 5]


def test_no_candidates_have_no_ranks() -> None:
    assert assign_ranks([]) == []


def test_the_interval_contains_the_difference() -> None:
    interval = compare(correct(range(10)), correct(range(30)))
    assert interval.low < 0.1 < interval.high


def test_the_first_and_the_best_by_catalog_are_suggested() -> None:
    records = [make("a", 1, 60.0), make("b", 2), make("c", 3, 80.0)]
    assert list_reasons(records) == {"a": ("first", "neighbors", "probe"), "c": ("catalog",)}


def test_if_they_are_the_same_the_best_by_nearest_neighbors_is_suggested_too() -> None:
    records = [make("a", 1, 80.0), replace(make("b", 1), accuracy=0.9), replace(make("c", 1), knn=0.9)]
    assert list_reasons(records) == {"a": ("first", "catalog"), "c": ("neighbors",)}


def test_if_it_is_also_the_best_by_nearest_neighbors_the_best_by_probe_is_suggested_too() -> None:
    records = [replace(make("a", 1, 80.0), knn=0.9), make("b", 1), replace(make("c", 1), accuracy=0.9)]
    assert list_reasons(records) == {"a": ("first", "catalog", "neighbors"), "c": ("probe",)}


def test_if_all_are_the_same_the_next_one_is_suggested_too() -> None:
    records = [make("a", 1, 80.0), make("b", 2, 60.0), make("c", 3)]
    assert list_reasons(records) == {"a": ("first", "catalog", "neighbors", "probe"), "b": ("next",)}


def test_without_accuracies_the_first_two_are_suggested() -> None:
    records = [make("a", 1), make("b", 1), make("c", 3)]
    assert list_reasons(records) == {"a": ("first", "neighbors", "probe"), "b": ("next",)}


def test_a_single_candidate_is_suggested() -> None:
    assert list_reasons([make("a", 1)]) == {"a": ("first", "neighbors", "probe")}
    assert list_reasons([]) == {}


def test_a_second_name_of_the_first_network_is_not_suggested() -> None:
    records = [make("a", 1, 60.0), make("b", 1, 80.0), make("c", 3, 50.0)]
    assert list_reasons(records, "xxy") == {"a": ("first", "neighbors", "probe"), "c": ("next",)}


def test_several_names_of_one_network_are_one_suggestion() -> None:
    found = [(make(name, None), make_scores(range(9))) for name in "abc"]
    assert [record.name for record in order(found) if record.suggested] == ["a"]


@pytest.mark.parametrize(("count", "names"), [(1, "a"), (2, "ac"), (3, "acb"), (9, "acb")])
def test_the_suggested_ones_are_fine_tuned_first(count: int, names: str) -> None:
    a, b, c = (
        replace(record, loss=place)
        for place, record in enumerate((make("a", 1, 60.0), make("b", 2), make("c", 3, 80.0)))
    )
    records = suggest([a, b, c], {"a": 1, "b": 2, "c": 3})
    assert "".join(record.name for record in list_suggested([*records, make("d", None)], count)) == names


def test_a_copy_of_a_network_is_not_fine_tuned_as_well() -> None:
    one = replace(make("a", 1), accuracy=0.9, loss=0.25, logme=1.5)
    copy = replace(one, name="b", loss=0.250001, suggested=("catalog",))
    other = replace(one, name="c", loss=0.26)
    assert [record.name for record in list_suggested([one, copy, other], 3)] == ["b", "c"]


def test_the_published_accuracy_decides_within_a_rank_only() -> None:
    wrong = {"a": range(10), "b": range(11), "c": range(12), "d": range(60)}
    catalog = {"b": 60.0, "c": 70.0, "d": 80.0}
    found = [(make(name, None, catalog.get(name)), make_scores(images)) for name, images in wrong.items()]
    assert [(record.name, record.rank) for record in order(found)] == [("c", 1), ("b", 1), ("a", 1), ("d", 4)]


def test_without_published_accuracies_the_probe_decides() -> None:
    found = [(make(name, None), make_scores(range(wrong))) for name, wrong in (("a", 12), ("b", 10), ("c", 11))]
    assert [record.name for record in order(found)] == ["b", "c", "a"]


def make_scores(wrong: range) -> Scores:
    return Scores(correct(wrong), correct(wrong), loss=1.0, logme=0.0, bytes=1)
