"""A file that the same versions have decoded before is not decoded again, regardless of its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from changed_images import make_samples
from zoo.data.examination.examine import examine_files
from zoo.data.examination.known import add_known, read_known
from zoo.data.examination.traits import Traits
from zoo.data.listing import ImageFile
from zoo.data.marks import Mark
from zoo.data.pixel_cache import Pixels, Views
from zoo.data.sources.folder import list_folder
from zoo.data.transform import build_eval_transform
from zoo.plugin import InputSpec
from zoo.progress import Silent

Plant = Callable[[Path, Mapping[str, int]], Path]


class Counted(Pixels):
    """Pixels that record the decoded images they receive."""

    def __init__(self) -> None:
        super().__init__(build_eval_transform(InputSpec(size=(3, 12, 12), resize=14)), budget=0)
        self.offers: list[bytes] = []

    def offer(self, digest: bytes, decoded: object) -> None:  # noqa: ARG002  # the signature of the base class
        self.offers.append(digest)


def examine(files: list[ImageFile]) -> tuple[int, int, int]:
    counted = Counted()
    good, bad, _ = examine_files(files, {"ant": 0, "bee": 1}, keep=Views(counted, counted), progress=Silent())
    return len(good), len(bad), len(counted.offers)


@pytest.fixture
def files(tmp_path: Path, plant: Plant) -> list[ImageFile]:
    return list(list_folder(plant(tmp_path / "a", {"ant": 3, "bee": 2})).files)


def test_nothing_is_decoded_the_second_time(files: list[ImageFile]) -> None:
    assert examine(files) == (5, 0, 5)
    assert examine(files) == (5, 0, 0)


def test_a_changed_file_is_decoded_again(files: list[ImageFile]) -> None:
    examine(files)
    content = files[0].path.read_bytes()
    files[0].path.write_bytes(content + b"more")
    assert examine(files) == (5, 0, 1)
    files[0].path.write_bytes(content[:-200])
    assert examine(files) == (4, 1, 0)


def test_an_unreadable_file_is_tried_every_time(files: list[ImageFile]) -> None:
    files[1].path.write_bytes(b"no image")
    assert examine(files) == (4, 1, 4)
    files[1].path.write_bytes(files[2].path.read_bytes())
    assert examine(files) == (5, 0, 0)


def test_a_heic_image_is_tried_again_without_pillow_heif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    (tmp_path / "x.heic").write_bytes(make_samples()["HEIC"])
    files = [ImageFile(tmp_path, "x.heic", "train", "ant", "x.heic")]
    assert examine(files) == (1, 0, 1)
    assert examine(files) == (1, 0, 0)
    monkeypatch.setattr("zoo.data.file_kinds.find_spec", lambda _: None)
    assert examine(files) == (0, 1, 0)


@pytest.mark.parametrize("variable", ["ZOO_MAX_PIXELS", "ZOO_MAX_DECODING_BYTES", "ZOO_MAX_IMAGE_BYTES"])
def test_a_lower_limit_applies_to_files_that_were_decoded_before(
    files: list[ImageFile], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    assert examine(files) == (5, 0, 5)
    monkeypatch.setenv(variable, "10")
    assert examine(files) == (0, 5, 0)
    monkeypatch.delenv(variable)
    assert examine(files) == (5, 0, 0)


def test_truncated_lines_match_no_digest(own_cache: Path) -> None:
    one, torn, next_one = (bytes([number] * 32) for number in range(3))
    add_known({one: Traits(), torn: Traits("PNG", Mark.ANIMATED, 4095)})
    (path,) = (own_cache / "examined").iterdir()
    lines = path.read_text()
    for length in range(len(lines) // 2 + 1, len(lines) - 1):
        path.write_text(lines[:length])
        assert read_known() == {one: Traits()}
        add_known({next_one: Traits()})
        assert read_known() == {one: Traits()}


@pytest.mark.parametrize("number", ["0b", "7f", "ff"])
def test_a_line_with_an_unknown_format_is_ignored(files: list[ImageFile], own_cache: Path, number: str) -> None:
    examine(files)
    (path,) = (own_cache / "examined").iterdir()
    path.write_text("".join(f"{line[:65]}{number}{line[67:]}\n" for line in path.read_text().splitlines()))
    assert examine(files) == (5, 0, 5)


@pytest.mark.parametrize("damage", [b"\xff\xfe", b""])
def test_with_a_damaged_list_everything_is_decoded_again(
    files: list[ImageFile], own_cache: Path, damage: bytes
) -> None:
    examine(files)
    (path,) = (own_cache / "examined").iterdir()
    path.write_bytes(damage)
    assert examine(files) == (5, 0, 5)


def test_without_a_writable_cache_everything_is_decoded_again(
    files: list[ImageFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    assert [examine(files), examine(files)] == [(5, 0, 5)] * 2


def test_all_images_are_decoded_again_after_the_rules_of_the_examination_have_changed(
    files: list[ImageFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    examine(files)
    monkeypatch.setattr("zoo.data.examination.known.VERSION", 0)
    assert examine(files) == (5, 0, 5)


def test_a_named_pipe_instead_of_the_file_is_not_opened(cache: Path) -> None:
    add_known({})
    (path,) = (cache / "examined").iterdir()
    path.unlink()
    os.mkfifo(path)
    add_known({})
    assert not read_known()
