from __future__ import annotations

from pathlib import Path

import pytest

from zoo.files.remote_version import RemoteVersion, forget_version_of, read_version_of


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        (RemoteVersion(3), RemoteVersion(3), False),
        (RemoteVersion(3), RemoteVersion(4), True),
        (RemoteVersion(None), RemoteVersion(4), False),
        (RemoteVersion(3, "a"), RemoteVersion(3, "b"), True),
        (RemoteVersion(3, "a"), RemoteVersion(4, "a"), True),
        (RemoteVersion(3, "a", "Thu"), RemoteVersion(3, "b", "Thu"), False),
        (RemoteVersion(3, "a", "Thu"), RemoteVersion(3, "a", "Fri"), False),
        (RemoteVersion(3, "a", "Thu"), RemoteVersion(3, "b", "Fri"), True),
        (RemoteVersion(3, "a"), RemoteVersion(3, None, "Fri"), False),
    ],
)
def test_a_file_changed_if_its_length_or_everything_else_differs(
    one: RemoteVersion, other: RemoteVersion, *, differs: bool
) -> None:
    assert one.differs(other) is differs
    assert other.differs(one) is differs


def test_the_version_is_stored_beside_the_file(tmp_path: Path) -> None:
    target = tmp_path / "a.tar"
    target.write_bytes(b"abc")
    version = RemoteVersion(3, 'W/"x"', "Thu, 01 Jan 2026 00:00:00 GMT")
    version.save(target)
    assert read_version_of(target) == version
    forget_version_of(target)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


@pytest.mark.parametrize("stored", [None, "", "{", "[]", '{"size": 1}'])
def test_without_a_stored_version_only_the_length_is_known(tmp_path: Path, stored: str | None) -> None:
    target = tmp_path / "a.tar"
    target.write_bytes(b"abc")
    if stored is not None:
        (tmp_path / "a.tar.version").write_text(stored, encoding="ascii")
    assert read_version_of(target) == RemoteVersion(3)
