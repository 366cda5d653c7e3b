"""Images that would take far more memory or time than their size suggests are refused by their headers, or wait."""

from __future__ import annotations

import io
import queue
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread

import numpy as np
import pytest
from PIL import Image

from zoo.data.decode import decode_image, decoded, quiet_pillow
from zoo.data.decoding_memory import DECODING, MemoryBudget, count_scans
from zoo.errors import DataError

#: Decodes a file in four threads and prints by how many bytes this raised the peak memory of the process. The peak of
#: getrusage would include that of the process that started this one.
PEAK = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zoo.data.decode import decoded, quiet_pillow

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

def decode(path):
    with decoded(path) as image:
        return image.pixels.shape

with quiet_pillow(), ThreadPoolExecutor(4) as pool:
    decode(Path(sys.argv[1]))
    before = peak()
    decode(Path(sys.argv[2]))
    alone = peak()
    list(pool.map(decode, [Path(sys.argv[2])] * 8))
    together = peak()
print(alone - before, together - before)
"""
SIDE = 3000


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def measure_peaks(folder: Path) -> tuple[int, int]:
    """Return the bytes that one large image takes, and that several take in four threads."""
    paths = [folder / "small.png", folder / "large.png"]
    for path, side in zip(paths, (8, SIDE), strict=True):
        Image.new("RGBA", (side, side), (9, 8, 7, 6)).save(path)
    done = subprocess.run([sys.executable, "-c", PEAK, *map(str, paths)], capture_output=True, text=True, check=True)
    alone, together = map(int, done.stdout.split())
    return alone, together


@pytest.mark.breadth
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_images_that_take_the_whole_budget_are_decoded_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_MAX_DECODING_BYTES", str(32 * SIDE**2))
    alone, together = measure_peaks(tmp_path)
    assert 10 * SIDE**2 < alone < 32 * SIDE**2
    assert together < 3 * alone  # Without waiting, or without returning freed memory, it is more than 4 times as much.


def wait_or_enter(budget: MemoryBudget, count: int) -> str:
    """Return whether a second thread has to wait for ``count`` bytes, and then let it continue."""
    events: queue.Queue[str] = queue.Queue()

    class Telling(Condition):
        def wait(self, timeout: float | None = None) -> bool:
            events.put("waits")
            return super().wait(timeout)

    def enter() -> None:
        with budget.reserve(count):
            events.put("enters")

    budget._freed = Telling()
    thread = Thread(target=enter)
    with budget.reserve(6):
        thread.start()
        first = events.get(timeout=30)
    thread.join(30)
    assert not thread.is_alive()
    return first


@pytest.mark.parametrize(
    ("processes", "count", "first"), [("1", 6, "enters"), ("1", 7, "waits"), ("1", 50, "waits"), ("2", 1, "waits")]
)
def test_a_thread_waits_until_its_memory_is_free_and_processes_divide_the_budget(
    monkeypatch: pytest.MonkeyPatch, processes: str, count: int, first: str
) -> None:
    monkeypatch.setenv("ZOO_MAX_DECODING_BYTES", "12")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    assert wait_or_enter(MemoryBudget(), count) == first


@pytest.mark.parametrize("broken", [False, True])
def test_the_memory_is_free_again_after_an_image_and_after_a_damaged_one(*, broken: bool) -> None:
    data = encode(Image.new("RGB", (64, 48)), "PNG")
    if broken:
        with pytest.raises(DataError):
            decode_image(data[:-30])
    else:
        with decoded(data):
            assert DECODING._used >= 64 * 48 * 3
    assert DECODING._used == 0


def make_tiff(width: int, tags: dict[int, int], data: bytes) -> bytes:
    """Make a grayscale TIFF with one compressed strip or tile."""
    everything = {256: width, 257: width, 258: 8, 259: 8, 262: 1, 277: 1, **tags}
    offset = 14 + 12 * (len(everything) + 2)
    place, size = (324, 325) if 322 in tags else (273, 279)
    entries = sorted({**everything, place: offset, size: len(data)}.items())
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4) + data


NOISE = np.random.default_rng(0).integers(0, 256, (64, 48, 4), dtype=np.uint8)
RGBA = Image.fromarray(NOISE)
FRAMES = {"save_all": True, "append_images": [Image.new("RGBA", (48, 64))] * 3}
IMAGES: dict[str, Callable[[], bytes]] = {
    "16 bits": lambda: encode(Image.fromarray(NOISE[..., 0].astype(np.uint16)), "PNG"),
    "interlaced": lambda: encode(RGBA, "PNG", interlace=1),
    "animated PNG": lambda: encode(RGBA, "PNG", **FRAMES),
    "animated GIF": lambda: encode(RGBA, "GIF", **FRAMES),
    "animated WebP": lambda: encode(RGBA, "WEBP", **FRAMES),
    "TIFF": lambda: encode(RGBA, "TIFF"),
    "BMP": lambda: encode(RGBA.convert("RGB"), "BMP"),
    "JPEG": lambda: encode(RGBA.convert("RGB"), "JPEG"),
    "progressive": lambda: encode(RGBA.convert("CMYK"), "JPEG", progressive=True),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_over_the_whole_budget_is_refused_by_its_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = IMAGES[kind]()
    each = {"JPEG": 7, "progressive": 14}.get(kind, 32)
    needed = 64 * 48 * each
    monkeypatch.setenv("ZOO_MAX_DECODING_BYTES", str(needed))
    assert decode_image(data).shape == (3, 64, 48)
    monkeypatch.setenv("ZOO_MAX_DECODING_BYTES", str(needed - 1))
    reason = f"decoding it takes {needed:,} bytes, but ZOO_MAX_DECODING_BYTES allows only {needed - 1:,}"
    with pytest.raises(DataError, match=f"{reason}; to allow this, set ZOO_MAX_DECODING_BYTES to {needed} or more"):
        decode_image(data)


def test_a_tile_that_is_larger_than_its_image_counts_as_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_tiff(16, {322: 2048, 323: 2048}, zlib.compress(bytes(2048**2)))
    assert decode_image(data).shape == (3, 16, 16)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "1000000")
    with pytest.raises(DataError, match="it has 4,194,304 pixels, but ZOO_MAX_PIXELS"):
        decode_image(data)


@pytest.mark.parametrize("rows", [16, 2**20])
def test_a_strip_that_is_larger_than_its_image_takes_no_memory(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_MAX_PIXELS", "256")
    assert decode_image(make_tiff(16, {278: rows}, zlib.compress(bytes(256)))).shape == (3, 16, 16)


@pytest.mark.parametrize("chunk", [b"zTXt", b"iTXt", b"iCCP"])
def test_metadata_that_unpacks_to_gigabytes_is_not_unpacked(chunk: bytes) -> None:
    data = encode(RGBA, "PNG")
    packed = zlib.compress(bytes(2**25), 9)
    body = chunk + b"name\0" + (b"\1\0\0\0" if chunk == b"iTXt" else b"\0") + packed
    bomb = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(DataError, match=r"damaged or truncated \(Decompressed data too large"):
        decode_image(data[:33] + bomb * 40 + data[33:])


def with_scans(count: int) -> bytes:
    """Make a progressive JPEG with this number of scans, by repeating the last one."""
    data = encode(RGBA.convert("RGB"), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("turbo", [True, False])
def test_a_jpeg_with_hundreds_of_scans_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, *, turbo: bool
) -> None:
    if not turbo:
        monkeypatch.setattr("zoo.data.decode._TURBO", None)
    assert decode_image(with_scans(100)).shape == (3, 64, 48)
    with pytest.raises(DataError, match="it has 400 scans, but ZOO_MAX_JPEG_SCANS allows only 100"):
        decode_image(with_scans(400))
    monkeypatch.setenv("ZOO_MAX_JPEG_SCANS", "400")
    assert decode_image(with_scans(400)).shape == (3, 64, 48)


def test_a_second_scan_of_a_sequential_jpeg_is_never_decoded() -> None:
    data = encode(RGBA.convert("RGB"), "JPEG")
    twice = data[:-2] + data[data.rindex(b"\xff\xda") :]
    assert count_scans(data) == count_scans(twice) == 1
    with pytest.raises(DataError, match="damaged or truncated"):
        decode_image(twice)


def test_scans_in_metadata_and_after_the_image_do_not_count() -> None:
    photo = RGBA.convert("RGB")
    scans = b"\xff\xda" * 300
    for options in ({}, {"progressive": True}, {"quality": 100, "restart_marker_blocks": 1}):
        plain = encode(photo, "JPEG", **options)
        data = encode(photo, "JPEG", comment=scans, **options) + scans
        assert count_scans(data) == count_scans(plain) == plain.count(b"\xff\xda")
        assert decode_image(data).shape == (3, 64, 48)


def test_pillow_allows_as_many_pixels_as_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(Image.new("1", (14_000, 14_000)), "PNG")
    with quiet_pillow(), pytest.raises(DataError, match="it has 196,000,000 pixels, but ZOO_MAX_PIXELS"):
        decode_image(data)
    monkeypatch.setenv("ZOO_MAX_PIXELS", "196000000")
    before = Image.MAX_IMAGE_PIXELS
    with quiet_pillow(), pytest.raises(DataError, match="decoding it takes 6,272,000,000 bytes"):
        decode_image(data)
    assert before == Image.MAX_IMAGE_PIXELS
