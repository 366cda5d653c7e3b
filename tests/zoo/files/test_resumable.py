"""A file on its way belongs to one process, and what breaks off can be gone on with."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import zoo
from zoo.files.resumable import ABANDONED, PartialLost, open_partial, sweep_partials


def abandon(path: Path) -> None:
    long_ago = path.stat().st_mtime - ABANDONED - 1
    os.utime(path, (long_ago, long_ago))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@contextmanager
def broken_off() -> Iterator[None]:
    with pytest.raises(KeyboardInterrupt):
        yield


@contextmanager
def lost() -> Iterator[None]:
    with pytest.raises(PartialLost):
        yield


def test_a_file_appears_under_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.bin"
    with open_partial(target, resume=True) as partial:
        partial.append(b"abc")
        assert not target.exists()
    assert target.read_bytes() == b"abc"
    assert names(target.parent) == {"file.bin"}


def test_the_bytes_are_on_the_disk_before_the_name_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file.bin"
    synced = []

    def sync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size, target.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    with open_partial(target, resume=True) as partial:
        partial.append(b"abc")
    assert synced == [(target.stat().st_ino, 3, False)]


def test_the_digest_is_that_of_all_bytes(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.with_name("file.bin.partial").write_bytes(b"abc")
    with open_partial(target, resume=True) as partial:
        partial.append(b"def")
        assert partial.sha256() == hashlib.sha256(b"abcdef").hexdigest()
        partial.append(b"ghi")
    assert target.read_bytes() == b"abcdefghi"


def test_what_breaks_off_is_left_to_the_next_attempt(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    with broken_off(), open_partial(target, resume=True) as partial:
        partial.append(b"abc")
        raise KeyboardInterrupt
    assert names(tmp_path) == {"file.bin.partial"}
    with open_partial(target, resume=True) as partial:
        assert partial.size == 3
        partial.append(b"def")
    assert target.read_bytes() == b"abcdef"
    assert names(tmp_path) == {"file.bin"}


def test_without_resume_nothing_is_taken_up_and_nothing_is_left(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.with_name("file.bin.partial").write_bytes(b"of an earlier attempt")
    with broken_off(), open_partial(target, resume=False) as partial:
        assert partial.size == 0
        partial.append(b"abc")
        raise KeyboardInterrupt
    assert names(tmp_path) == {"file.bin.partial"}
    assert target.with_name("file.bin.partial").read_bytes() == b"of an earlier attempt"


def test_an_empty_partial_is_not_kept(tmp_path: Path) -> None:
    with broken_off(), open_partial(tmp_path / "file.bin", resume=True) as partial:
        partial.append(b"abc")
        partial.restart()
        raise KeyboardInterrupt
    assert names(tmp_path) == set()


def test_a_partial_in_use_is_not_taken(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    with lost(), open_partial(target, resume=True) as slow:
        slow.append(b"slow")
        with open_partial(target, resume=True) as fast:
            assert fast.size == 0
            fast.append(b"fast")
        slow.append(b"late")
    assert target.read_bytes() == b"fast"
    assert names(tmp_path) == {"file.bin"}


def test_whoever_was_suspended_too_long_no_longer_writes(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    with lost(), open_partial(target, resume=True) as suspended:
        suspended.append(b"abc")
        abandon(next(tmp_path.iterdir()))
        with open_partial(target, resume=True) as heir:
            assert heir.size == 3
            with lost():
                suspended.append(b"WRONG")
            heir.append(b"def")
    assert target.read_bytes() == b"abcdef"
    assert names(tmp_path) == {"file.bin"}


def test_a_claimed_partial_does_not_look_abandoned(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    old = target.with_name("file.bin.partial-0123abcd")
    old.write_bytes(b"abc")
    abandon(old)
    with open_partial(target, resume=True) as first:
        assert first.size == 3
        with broken_off(), open_partial(target, resume=True) as second:
            assert second.size == 0
            raise KeyboardInterrupt


def test_the_largest_of_many_is_gone_on_with_and_the_others_go(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    for digits, content in (("00000001", b"a"), ("00000002", b"abc"), ("00000003", b"ab")):
        old = target.with_name(f"file.bin.partial-{digits}")
        old.write_bytes(content)
        abandon(old)
    with open_partial(target, resume=True) as partial:
        assert partial.size == 3
    assert names(tmp_path) == {"file.bin"}


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "file[1].bin"
    others = {"file1.bin.partial-00000001", "file[1].bin.partial-notes", "file[1].bin2.partial", "x.partial"}
    for name in others:
        (tmp_path / name).write_bytes(b"other")
        abandon(tmp_path / name)
    with open_partial(target, resume=True) as partial:
        assert partial.size == 0
    assert names(tmp_path) == others | {target.name}


def test_sweeping_spares_what_is_in_use(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    for name in ("file.bin.partial", "file.bin.partial-00000001", "file.bin.partial-00000002"):
        (tmp_path / name).write_bytes(b"abc")
    abandon(tmp_path / "file.bin.partial-00000001")
    sweep_partials(target)
    assert names(tmp_path) == {"file.bin.partial-00000002"}


RACER = """
import sys
from pathlib import Path
from zoo.files.resumable import open_partial

print("ready", flush=True)
sys.stdin.readline()
try:
    with open_partial(Path(sys.argv[1]), resume=True) as partial:
        print(partial.size, flush=True)
        sys.stdin.readline()
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
"""


def test_of_many_processes_that_claim_a_partial_at_once_exactly_one_gets_it(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.with_name("file.bin.partial").write_bytes(b"abc")
    environment = {**os.environ, "PYTHONPATH": str(Path(zoo.__file__).parents[1])}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(target)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1,
        )
        for _ in range(4)
    ]  # fmt: skip
    sizes = []
    for step in ("wait", "claim", "leave"):
        for racer in racers:
            assert racer.stdin is not None
            assert racer.stdout is not None
            if step == "wait":
                assert racer.stdout.readline() == "ready\n"
                continue
            racer.stdin.write("\n")
        if step == "claim":
            sizes = [int(racer.stdout.readline()) for racer in racers if racer.stdout is not None]
    for racer in racers:
        racer.communicate(timeout=30)
    assert sorted(sizes) == [0, 0, 0, 3]
    assert target.with_name("file.bin.partial").read_bytes() == b"abc"
