from __future__ import annotations

from typing import Any

import pytest

from zoo.runs.public_facts import hide_folders, make_public, name_data


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/me/photos/", "photos"), ("~/photos", "photos"), (r"C:\me\photos", "photos"), ("C:/me/photos", "photos"),
        (r"\\server\photos", "photos"), ("acme:/home/me/album", "acme:album"), ("file:///home/me/w.pth", "w.pth"),
        ("/", "images"), ("hf:owner/name", "hf:owner/name"), ("https://host/a/photos.zip", "https://host/a/photos.zip"),
        ("hf://me/first@main", "hf://me/first@main"), ("IMAGENET1K_V1", "IMAGENET1K_V1"),
    ],
)  # fmt: skip
def test_only_the_last_part_of_an_absolute_path_is_shown(value: str, shown: str) -> None:
    assert hide_folders(value) == name_data({"asked": value}) == shown


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ({"asked": "../ward/photos"}, "photos"),
        ({"asked": "acme/flowers", "source": {"name": "acme/flowers"}}, "acme/flowers"),
        ({"asked": "list of 3 images", "is_object": True}, "list of 3 images"),
    ],
)
def test_a_relative_path_is_shortened_and_the_name_of_a_data_set_is_not(data: dict[str, Any], shown: str) -> None:
    assert name_data(data) == shown


def make_facts(**data: Any) -> dict[str, Any]:
    recipe = {"weights": "/home/me/w.pth", "label_from": "/x/"}
    return {"recipe": recipe, "weights": {"label": "w.pth"}, "data": {"asked": "photos", "left_out": [], **data}}


def test_the_weights_are_shortened_and_a_regular_expression_is_not() -> None:
    assert make_public(make_facts())["recipe"] == {"weights": "w.pth", "label_from": "/x/"}


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("hidden file", "hidden file"), ("a copy of a.png", "omitted"), ("the shard a/b is shorter", "omitted")],
)
def test_a_reason_is_kept_unless_it_may_contain_a_path(reason: str, shown: str) -> None:
    left_out = make_public(make_facts(left_out=[{"path": "/a/b.png", "reason": reason}]))["data"]["left_out"]
    assert left_out == [{"path": "omitted", "reason": shown}]


def test_findings_about_classes_keep_the_classes_and_others_only_their_number() -> None:
    images = [{"path": "a.png", "class_name": "bee"}, {"detail": "patient 1"}]
    listed = [{"class_name": "bee", "detail": "a/b.png"}, *images]
    found = {"kind": "missing-class", "split": "val", "count": 3, "listed": listed}
    public = make_public(make_facts(findings=[found]))["data"]["findings"]
    assert public == [{**found, "listed": [{"class_name": "bee"}]}]
