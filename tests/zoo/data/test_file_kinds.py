"""The content of a file counts, not its name; a file that is no image is named for what it is."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, features

from changed_images import decode_changed, make_samples
from made_images import encode
from zoo.data.decode import decode_image, decoded
from zoo.data.examination.examine import examine_files
from zoo.data.examination.findings import list_findings
from zoo.data.examination.report import report_findings
from zoo.data.file_kinds import explain_unidentified
from zoo.data.listing import ImageFile
from zoo.data.marks import Mark
from zoo.errors import DataError
from zoo.progress import Silent

FTYP = b"\0\0\0\x1cftyp"
HEIC = FTYP + b"mif1\0\0\0\0mif1heicmiaf" + bytes(40)
AVIF = FTYP + b"avif\0\0\0\0mif1avifmiaf" + bytes(40)
#: Contents that are not images, and their names in messages.
CONTENTS = {
    b"<!DOCTYPE html>\n<title>Not found</title>": "an HTML page",
    b"\xef\xbb\xbf\n <HTML><body>Sign in": "an HTML page",
    b'<?xml version="1.0"?><svg width="1"/>': "an SVG drawing",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0": "a Git LFS pointer, which `git lfs pull` replaces",
    b'{"error": "too many requests"}': "a text file",
    "Datei nicht gefunden: \u00fc".encode(): "a text file",
    b"%PDF-1.7": "a PDF document",
    b"PK\3\4" + bytes(30): "a ZIP archive",
    FTYP + b"isom\0\0\0\0isom": "a video",
    FTYP + b"heic": "a damaged HEIC image",
    AVIF: "a damaged AVIF image",
    b"RIFF\0\0\0\0WEBPVP9 \0": "a damaged WebP image",
    b"RIFF\0\0\0\0AVI LIST": "a video or a sound",
    b"\x89PNG\r\n\x1a\n\0\0": "a damaged PNG",
    b"\xff\xd8\xff\0": "a damaged JPEG or one of an unusual type",
    b"GIF89a": "a damaged GIF",
    b"BM\xff\xff": "a damaged BMP",
    b"BM is a text": "a text file",
    bytes(5000): "a file that contains only zeros",
}
FRAMES = {"save_all": True, "append_images": [Image.new("RGB", (8, 8), "blue")]}
ANIMATIONS = ["GIF", "PNG", "WEBP", *(["AVIF"] if features.check("avif") else [])]


@pytest.mark.parametrize("content", CONTENTS, ids=CONTENTS.values())
def test_a_file_that_is_no_image_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.data.file_kinds.reads_heic", lambda: True)
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    file = ImageFile(tmp_path, "photo.jpg", "train", "ant", "photo.jpg")
    _, (left_out,), _ = examine_files([file], {"ant": 0}, progress=Silent())
    assert left_out.reason.startswith(CONTENTS[content])
    assert left_out.reason.endswith("not an image in a supported format")


def test_bytes_that_are_neither_text_nor_known_have_no_name() -> None:
    assert explain_unidentified(b"\x93\xfa\0\1" * 99) == "not an image in a supported format"


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_wrong_suffix_does_not_matter(tmp_path: Path, kind: str, draw: Callable[..., Image.Image]) -> None:
    data = encode(draw(1), kind)
    (tmp_path / "photo.jpg").write_bytes(data)
    assert torch.equal(decode_image(tmp_path / "photo.jpg"), decode_image(data))


def test_without_pillow_heif_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    monkeypatch.setattr("zoo.data.file_kinds.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r'^a HEIC image; to read it, run `pip install "zoo-backbones\[heif\]"`$'):
        decode_image(HEIC)


def test_if_pillow_cannot_read_avif_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.decode._FORMATS", ("JPEG", "PNG"))
    monkeypatch.setattr("zoo.data.file_kinds.reads_avif", lambda: False)
    with pytest.raises(DataError, match="an AVIF image, which the installed Pillow cannot read; to read it, run `pip"):
        decode_image(AVIF)


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_the_first_frame_of_an_animation_is_used(kind: str) -> None:
    with decoded(encode(Image.new("RGB", (8, 8), "red"), kind, quality=100, **FRAMES)) as image:
        assert Mark.ANIMATED in image.marks
        assert (image.pixels.float().mean((1, 2)) - torch.tensor([255.0, 0, 0])).abs().max() <= 2
    with decoded(encode(Image.new("RGB", (8, 8), "red"), kind)) as image:
        assert Mark.ANIMATED not in image.marks


@pytest.mark.parametrize("kind", ["TIFF", "MPO"])
def test_pages_and_previews_are_no_animation(kind: str) -> None:
    with decoded(encode(Image.new("RGB", (8, 8), "red"), kind, **FRAMES)) as image:
        assert Mark.ANIMATED not in image.marks


@pytest.mark.parametrize(("count", "line"), [(0, None), (1, "1 image is an animation"), (2, "2 images are animations")])
def test_animations_are_counted_and_reported_each_time(
    tmp_path: Path, progress: Any, draw: Callable[..., Image.Image], count: int, line: str | None
) -> None:
    files = [ImageFile(tmp_path, f"{number}.gif", "train", "ant", f"{number}.gif") for number in range(3)]
    for number, file in enumerate(files):
        draw(number, (64, 64)).save(file.path, "GIF", **(FRAMES if number < count else {}))
    for _ in range(2):  # The second time, nothing is decoded.
        good, _, traits = examine_files(files, {"ant": 0}, progress=Silent())
        report_findings(list_findings(good, [], ["ant"], traits), progress)
    assert progress.lines == ([f"note: {line}; using the first frame"] * 2 if line else [])


def decode_many(connection: Connection) -> None:
    os.environ["ZOO_MAX_DECODING_BYTES"] = str(2**26)
    kinds = list(make_samples())
    connection.send([failure for number in range(20 * len(kinds))
                     if (failure := decode_changed(kinds[number % len(kinds)], number))])  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "fork"), reason="without fork, a new process needs seconds to import torch")
def test_changed_images_are_decoded_or_refused_without_a_crash() -> None:
    # This runs in a child process, because a decoder that crashes would end it.
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=decode_many, args=(sender,), daemon=True)
    child.start()
    sender.close()
    assert receiver.recv() == []  # raises EOFError after a crash
    child.join(30)
    assert child.exitcode == 0
