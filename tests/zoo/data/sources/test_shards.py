"""Shards in the layout of webdataset."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from made_shards import Members, write_shard
from zoo.data.image_bytes import read_image
from zoo.data.listing import Listing
from zoo.data.source import list_images
from zoo.errors import DataError, OptionError
from zoo.registry.data_options import DataOptions
from zoo.registry.registry import Registry

ANT = {"1": {"jpg": b"one", "cls": b"ant"}, "2": {"jpg": b"two!", "cls": b"bee\n"}}


@pytest.fixture
def list_(registry: Registry, progress: Any) -> Any:
    def list_(value: Path | str, **options: Any) -> Listing:
        return list_images(value, DataOptions.parse(**options), registry=registry, progress=progress)

    return list_


def rows_of(listing: Listing) -> list[tuple[str, str, str, bytes]]:
    return [(file.split, file.class_name, file.name, read_image(file)) for file in listing.files]


def test_images_are_read_from_the_shards_without_unpacking_them(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "train-000.tar", ANT)
    write_shard(tmp_path / "train-001.tar", {"a/3": {"png": b"three", "cls": b"ant"}})
    write_shard(tmp_path / "validation-000.tar", {"1": {"jpg": b"four", "cls": b"ant"}})
    listing = list_(tmp_path)
    assert rows_of(listing) == [
        ("train", "ant", "train-000.tar/1.jpg", b"one"),
        ("train", "ant", "train-001.tar/a/3.png", b"three"),
        ("train", "bee", "train-000.tar/2.jpg", b"two!"),
        ("val", "ant", "validation-000.tar/1.jpg", b"four"),
    ]
    assert listing.has_splits
    assert listing.files[0].path == tmp_path / "train-000.tar" / "1.jpg"


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("train-{000..001}.tar", 2),
        ("{train,val}-000.tar", 2),
        ("{train,val}-{000..001}.tar", 4),
        ("{train-001}.tar", 1),
    ],
)
def test_a_pattern_stands_for_several_shards(tmp_path: Path, list_: Any, pattern: str, count: int) -> None:
    for name in ("train-000", "train-001", "val-000", "val-001"):
        write_shard(tmp_path / f"{name}.tar", ANT)
    assert len(list_(tmp_path / pattern).files) == 2 * count


def test_a_missing_shard_of_a_pattern_is_an_error(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "train-0.tar", ANT)
    with pytest.raises(DataError, match=r"2 of 3 shards do not exist: '.*train-1.tar', '.*train-2.tar'"):
        list_(tmp_path / "train-{0..2}.tar")


@pytest.mark.parametrize(
    ("members", "options", "found"),
    [
        ({"cls": b"7"}, {}, "7"),
        ({"json": b'{"label": 7, "width": 3}'}, {}, "7"),
        ({"json": b'{"category": "caf\\u00e9"}'}, {}, "caf\u00e9"),
        ({"json": b'{"label": 7, "breed": "pug"}'}, {"columns": "label=breed"}, "pug"),
        ({"json": b'{"label": 7}', "cls": b"8"}, {}, "8"),
        ({"cls": b"8", "json": b'{"label": 7}'}, {}, "8"),
        ({"JSON": b'{"label": "x"}'}, {}, "x"),
    ],
)
def test_the_label_is_in_a_file_of_the_same_key(
    tmp_path: Path, list_: Any, members: Members, options: Mapping[str, str], found: str
) -> None:
    write_shard(tmp_path / "a.tar", {"1": {"jpg": b"image", **members}})
    assert [file.class_name for file in list_(tmp_path, **options).files] == [found]


def test_numbers_are_indices_into_the_list_of_classes(tmp_path: Path, list_: Any) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    samples = {str(label): {"jpg": b"image", "cls": b"%d" % label} for label in range(2)}
    shard = write_shard(tmp_path / "a.tar", samples)
    assert [file.class_name for file in list_(tmp_path).files] == ["cat", "dog"]
    write_shard(shard, {"1": {"jpg": b"image", "cls": b"2"}})
    with pytest.raises(DataError, match="has the label '2', which is neither a name in"):
        list_(tmp_path)


@pytest.mark.parametrize("label", ["-2", "1.0", "+1", "wasp", "2", "9" * 5000])
def test_a_label_that_is_not_in_the_list_of_classes_is_an_error(tmp_path: Path, list_: Any, label: str) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    write_shard(tmp_path / "a.tar", {**ANT, "3": {"jpg": b"image", "cls": label.encode()}})
    with pytest.raises(DataError, match="which is neither a name in"):
        list_(tmp_path)


def test_the_label_minus_one_means_no_label_if_there_is_a_list_of_classes(tmp_path: Path, list_: Any) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    write_shard(
        tmp_path / "a.tar", {**ANT, "3": {"jpg": b"x", "cls": b"-1"}, "4": {"jpg": b"y", "json": b'{"label": -1}'}}
    )
    listing = list_(tmp_path)
    assert [file.class_name for file in listing.files] == ["ant", "bee"]
    assert [(item.path.name, item.reason) for item in listing.left_out] == [
        ("3.jpg", "no label"),
        ("4.jpg", "no label"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\nant\nbee\n", "contains an empty name"),
        ("ant\n \nbee\n", "contains an empty name"),
        ("", "contains an empty name"),
        ("ant\nbee\nant\n", "contains names twice: 'ant'"),
    ],
)
def test_an_empty_or_repeated_name_in_the_list_of_classes_is_an_error(
    tmp_path: Path, list_: Any, text: str, reason: str
) -> None:
    (tmp_path / "classes.txt").write_text(text)
    write_shard(tmp_path / "a.tar", ANT)
    with pytest.raises(DataError, match=rf"classes.txt': the list of class names {reason}"):
        list_(tmp_path)


def test_images_whose_names_have_a_second_period_are_left_out_with_the_reason(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "a.tar", {**ANT, "d/3.v2": {"png": b"image", "cls": b"ant"}})
    listing = list_(tmp_path)
    assert len(listing.files) == 2
    assert [(item.path, item.reason) for item in listing.left_out] == [
        (
            tmp_path / "a.tar/d/3.v2.png",
            "its key '3' ends at the first period of its name; use a name with only one period",
        )
    ]
    write_shard(tmp_path / "b" / "val-0.tar", {**ANT, "3.v2": {"png": b"image", "cls": b"ant"}})
    write_shard(tmp_path / "b" / "train-0.tar", ANT)
    assert [item.split for item in list_(tmp_path / "b").left_out] == ["val"]


@pytest.mark.parametrize(("suffix", "content"), [("cls", b"bee"), ("json", b'{"label": "bee"}')])
def test_two_labels_for_one_key_are_an_error(tmp_path: Path, list_: Any, suffix: str, content: bytes) -> None:
    upper = suffix.upper()  # a second member of the same meaning
    write_shard(tmp_path / "a.tar", {"1": {"jpg": b"image", suffix: content, upper: content}})
    with pytest.raises(DataError, match=rf"its member '1.{upper}' is a second label of the key '1'"):
        list_(tmp_path)


def test_two_fields_with_different_labels_are_an_error_until_one_is_chosen(
    tmp_path: Path, list_: Any, registry: Registry, progress: Any
) -> None:
    write_shard(tmp_path / "a.tar", {"3": {"jpg": b"image", "json": b'{"class_name": "ant", "label": 0}'}, **ANT})
    with pytest.raises(DataError, match=r"'3.json' has different values for 'label' and 'class_name'; choose"):
        list_(tmp_path)
    assert list_(tmp_path, columns="label=class_name").classes == ("ant", "bee")
    unlabeled = list_images(tmp_path, DataOptions(needs_labels=False), registry=registry, progress=progress)
    assert len(unlabeled.files) == 3


def test_a_key_that_occurs_twice_in_a_record_is_an_error(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "a.tar", {"1": {"jpg": b"image", "json": b'{"label": "ant", "label": "bee"}'}})
    with pytest.raises(DataError, match=r"'1.json' cannot be read .the key 'label' occurs twice"):
        list_(tmp_path)


def test_a_name_that_contains_several_splits_is_an_error(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "train-dev-0.tar", ANT)
    write_shard(tmp_path / "train-eval-0.tar", ANT)
    with pytest.raises(DataError, match=r"names of several splits: 'train-dev-0.tar', 'train-eval-0.tar'"):
        list_(tmp_path)


def test_a_pattern_that_names_a_shard_twice_is_an_error(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "train-0.tar", ANT)
    with pytest.raises(DataError, match=r"names shards twice: 'train-0.tar'; name each shard once"):
        list_(tmp_path / "train-{0,0}.tar")


@pytest.mark.parametrize("members", [{}, {"txt": b"a cat"}, {"json": b"{}"}, {"json": b"[]"}, {"cls": b" "}])
def test_images_without_a_label_are_left_out(tmp_path: Path, list_: Any, members: Members) -> None:
    write_shard(tmp_path / "a.tar", {"0": {"jpg": b"image", **members}, **ANT})
    listing = list_(tmp_path)
    assert len(listing.files) == 2
    assert [(item.path, item.reason) for item in listing.left_out] == [(tmp_path / "a.tar" / "0.jpg", "no label")]


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ({"1": {"jpg": b"image", "cls": b"\xff"}}, r"its member '1.cls' cannot be read"),
        ({"1": {"jpg": b"image", "json": b"{"}}, r"its member '1.json' cannot be read"),
        ({"1": {"jpg": b"image", "png": b"image", "cls": b"1"}}, r"'1.jpg' and '1.png' have the same key"),
        ({"1": {"jpg": b"image", "cls": b"\x1b[31m"}}, r"the unprintable label '\\x1b\[31m'"),
        ({"1": {"jpg": b"image", "cls": b"x" * (2**20 + 1)}}, r"ZOO_MAX_LABEL_BYTES allows only 1,048,576"),
        ({"1": {"cls": b"1"}}, r"the shards contain no images with labels"),
    ],
)
def test_a_shard_that_cannot_be_used_is_an_error(
    tmp_path: Path, list_: Any, samples: Mapping[str, Members], reason: str
) -> None:
    write_shard(tmp_path / "a.tar", samples)
    with pytest.raises(DataError, match=reason):
        list_(tmp_path)


def test_compressed_and_truncated_shards_are_errors(tmp_path: Path, list_: Any) -> None:
    shard = write_shard(tmp_path / "a.tar", {"1": {"jpg": b"x" * 3000, "cls": b"1"}})
    content = shard.read_bytes()
    shard.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=r"A shard is an uncompressed .tar archive"):
        list_(tmp_path)
    shard.write_bytes(content[:2000])
    with pytest.raises(DataError, match=r"a.tar': unexpected end of data"):
        list_(tmp_path)


def test_links_and_pickles_are_not_read(tmp_path: Path, list_: Any) -> None:
    shard = write_shard(tmp_path / "a.tar", {**ANT, "3": {"pkl": b"evil", "pyd": b"evil"}})
    with tarfile.open(shard, "a") as opened:
        link = tarfile.TarInfo("4.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        opened.addfile(link)
    assert len(list_(tmp_path).files) == 2


def test_names_with_and_without_a_split_cannot_be_mixed(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "train-0.tar", ANT)
    write_shard(tmp_path / "more-0.tar", ANT)
    with pytest.raises(DataError, match=r"but others do not: 'more-0.tar'"):
        list_(tmp_path)


def test_the_index_is_kept_until_the_shard_changes(tmp_path: Path, list_: Any, own_cache: Path) -> None:
    shard = write_shard(tmp_path / "a.tar", ANT)
    expected = rows_of(list_(tmp_path))
    (index,) = (own_cache / "shards").iterdir()
    index.write_text(index.read_text().replace("bee", "cow"))
    assert [file.class_name for file in list_(tmp_path).files] == ["ant", "cow"]
    os.utime(shard, ns=(1, 1))
    assert rows_of(list_(tmp_path)) == expected


@pytest.mark.parametrize(
    "damage", ["", "{}", '{"images": [["1.jpg", 512, 99999999, "ant"]]}', '{"images": [["1.jpg"]]}']
)
def test_a_damaged_index_is_made_again(tmp_path: Path, list_: Any, own_cache: Path, damage: str) -> None:
    write_shard(tmp_path / "a.tar", ANT)
    expected = rows_of(list_(tmp_path))
    (index,) = (own_cache / "shards").iterdir()
    index.write_text(damage)
    assert rows_of(list_(tmp_path)) == expected


def test_options_that_do_not_apply_are_errors(tmp_path: Path, list_: Any) -> None:
    write_shard(tmp_path / "a.tar", ANT)
    with pytest.raises(OptionError, match=r"`label_from` applies only to a folder of images"):
        list_(tmp_path, label_from="(cat|dog)")
    with pytest.raises(OptionError, match=r"`columns` for shards applies only to label, not to image"):
        list_(tmp_path, columns="image=x")


def test_archives_beside_images_are_not_shards(tmp_path: Path, list_: Any, draw: Any) -> None:
    draw(1).save(tmp_path / "cat.1.png")
    write_shard(tmp_path / "backup.tar", ANT)
    assert list_(tmp_path, label_from="(cat|dog)").classes == ("cat",)


def test_archives_beside_folders_of_images_are_not_shards(tmp_path: Path, list_: Any, draw: Any) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        draw(1).save(tmp_path / name / "1.png")
    write_shard(tmp_path / "backup.tar", ANT)
    assert list_(tmp_path).classes == ("ant", "bee")


def test_a_single_shard_is_not_mistaken_for_an_archive_of_a_folder(tmp_path: Path, list_: Any, own_cache: Path) -> None:
    assert own_cache
    write_shard(tmp_path / "train.tar", ANT)
    with pytest.raises(DataError, match=r"train.tar' is a shard, not an archive of a folder; pass the folder that"):
        list_(tmp_path / "train.tar")


def test_a_shard_that_changes_after_its_images_were_listed_is_an_error(tmp_path: Path, list_: Any) -> None:
    shard = write_shard(tmp_path / "a.tar", ANT)
    file, _ = list_(tmp_path).files
    assert read_image(file) == b"one"
    shard.write_bytes(shard.read_bytes() + bytes(512))
    with pytest.raises(DataError, match="the shard changed after its images were listed"):
        read_image(file)
