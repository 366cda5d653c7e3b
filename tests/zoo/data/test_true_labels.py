from __future__ import annotations

from pathlib import Path

import pytest

from zoo.data.listing import ImageFile
from zoo.data.true_labels import LabelRule

NEEDED = LabelRule(frozenset({"ant", "bee"}), is_required=True)
WELCOME = LabelRule()


@pytest.mark.parametrize(
    ("path", "top", "expected", "welcome"),
    [
        ("/d/ant/1.jpg", "/d", "ant", "ant"),
        ("/d/ant/field/1.jpg", "/d", "ant", "field"),
        ("/d/wasp/1.jpg", "/d", "wasp", "wasp"),
        ("/d/ant/1.jpg", "/d/ant", "ant", ""),
        ("/ant/photos/1.jpg", "/ant/photos", "photos", ""),
        ("/d/bee/1.jpg", None, "bee", ""),
        ("/ant/x/1.jpg", None, "x", ""),
    ],
)
def test_the_label_is_the_nearest_folder_of_a_class(path: str, top: str | None, expected: str, welcome: str) -> None:
    file = ImageFile(Path(path).parent, Path(path).name, "test", "", "1.jpg")
    folder = None if top is None else Path(top)
    assert NEEDED.label(file, folder).class_name == expected
    assert WELCOME.label(file, folder).class_name == welcome


def test_names_are_compared_in_one_form_of_unicode() -> None:
    rule = LabelRule(frozenset({"caf\u00e9"}), is_required=True)
    file = ImageFile(Path("/d/cafe\u0301"), "1.jpg", "test", "", "1.jpg")
    assert rule.label(file, Path("/d")).class_name == "caf\u00e9"
