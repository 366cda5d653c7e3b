"""Folders with links that lead elsewhere, and folders that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from unprivileged import obeying_permissions
from zoo.data.source import look_up
from zoo.data.sources.folder import list_folder
from zoo.errors import DataError
from zoo.registry.registry import Registry

Plant = Callable[[Path, dict[str, int]], Path]


def reasons(listing: Any) -> dict[str, str]:
    return {item.path.name: item.reason for item in listing.left_out}


@pytest.fixture
def close() -> Iterator[Callable[[Path, int], None]]:
    """Return a function that sets the mode of a path until the test ends."""
    closed: list[Path] = []

    def close(path: Path, mode: int) -> None:
        closed.append(path)
        path.chmod(mode)

    yield close
    for path in closed:
        path.chmod(0o755)


@pytest.mark.parametrize("target", ["/", "..", "."])
@pytest.mark.parametrize("place", ["whole", "train/whole", "train/ant/whole"])
def test_a_link_to_a_folder_that_contains_it_is_left_out(tmp_path: Path, plant: Plant, target: str, place: str) -> None:
    plant(tmp_path / "outside", {"ant": 1})
    plant(tmp_path / "data", {"train/ant": 1, "train/bee": 1})
    (tmp_path / "data" / place).symlink_to(target, target_is_directory=True)
    listing = list_folder(tmp_path / "data")
    assert listing.classes == ("ant", "bee")
    assert len(listing.files) == 2
    assert "link to a folder" in reasons(listing)["whole"]


def test_a_single_link_to_the_whole_disk_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "whole").symlink_to("/", target_is_directory=True)
    listing = list_folder(tmp_path)
    assert (listing.classes, listing.files) == ((), ())
    assert reasons(listing) == {"whole": "a link to a folder that contains it"}


def test_two_links_that_form_a_circle_are_left_out(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path, {"ant": 1, "bee": 1})
    (tmp_path / "ant" / "a").symlink_to("b")
    (tmp_path / "ant" / "b").symlink_to("a")
    listing = list_folder(tmp_path)
    assert len(listing.files) == 2
    assert reasons(listing).keys() == {"a", "b"}


def test_a_link_in_a_class_folder_is_followed_only_inside_the_data_folder(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "store", {"ants/deep": 1, "more": 5})
    plant(tmp_path / "data", {"train/bee": 1, "val/bee": 1, "extra": 2})
    ant = tmp_path / "data" / "train" / "ant"
    ant.symlink_to(tmp_path / "store" / "ants", target_is_directory=True)
    for name, target in {"own": "deep", "outside": "../more", "extra": "../../data/extra"}.items():
        (ant / name).symlink_to(target, target_is_directory=True)
    listing = list_folder(tmp_path / "data")
    assert sorted(file.name for file in listing.files if file.class_name == "ant") == [
        "deep/0.png",
        "extra/0.png",
        "extra/1.png",
    ]
    assert reasons(listing)["outside"] == "a link to a folder outside the data folder"


def test_an_image_may_be_a_link_to_a_file_elsewhere(tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "store", {"x": 1})
    plant(tmp_path / "data", {"ant": 1, "bee": 1})
    (tmp_path / "data" / "ant" / "linked.png").symlink_to(tmp_path / "store" / "x" / "0.png")
    assert len(list_folder(tmp_path / "data").files) == 3


@pytest.mark.parametrize("place", ["data", "data/train", "data/train/ant", "data/train/ant/deep"])
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_cannot_be_opened_is_an_error_with_its_name(
    tmp_path: Path, plant: Plant, close: Callable[[Path, int], None], place: str, mode: int
) -> None:
    plant(tmp_path / "data", {"train/ant": 1, "train/bee": 1, "train/ant/deep": 1})
    close(tmp_path / place, mode)
    with obeying_permissions(), pytest.raises(DataError, match=rf"cannot (list|open) '.*{place}.*: Permission denied"):
        list_folder(tmp_path / "data")


def test_data_in_a_folder_that_cannot_be_opened_is_an_error_with_its_name(
    tmp_path: Path, close: Callable[[Path, int], None], registry: Registry
) -> None:
    (tmp_path / "closed" / "data").mkdir(parents=True)
    close(tmp_path / "closed", 0)
    with obeying_permissions(), pytest.raises(DataError, match=r"cannot use '.*closed/data': Permission denied"):
        look_up(tmp_path / "closed" / "data", registry=registry)


@pytest.mark.parametrize(
    "name", ["a" * 300, f"folder/{'a' * 300}", "/".join(["a" * 100] * 50), "a\0b", "~nobody-here/x"]
)
def test_a_data_path_that_no_file_system_can_contain_is_an_error(name: str, registry: Registry) -> None:
    for value in (name, Path(name)):
        with pytest.raises(DataError, match=r"cannot use|does not exist|there is no"):
            look_up(value, registry=registry)
