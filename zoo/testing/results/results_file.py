"""Results on disk: one line a backbone, so that a long run can be interrupted and continued."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.testing.results.fingerprint import Fingerprint
from zoo.testing.results.result import BAD, Result
from zoo.testing.runner import Scope

#: What every line begins with.
_BEGINNING = b'{"backbone": "'


@dataclass(frozen=True)
class Entry:
    """What was seen of one backbone, or of a plugin itself."""

    backbone: str
    level: str
    only: str
    #: What they depend on; see `zoo.testing.results.fingerprint.Fingerprint`.
    versions: Mapping[str, str]
    results: tuple[Result, ...]
    code: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, backbone: str, scope: Scope) -> bool:
        """Whether it is of the same backbone and scope."""
        return (self.backbone, self.level, self.only) == (backbone, scope.level, scope.only)

    def has_fingerprint(self, fingerprint: Fingerprint) -> bool:
        """Whether all that it depends on was the same."""
        return (self.versions, self.code) == (fingerprint.versions, fingerprint.code)


class ResultsFile:
    """A file of entries; a last line that was cut off when writing was interrupted is passed over."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            RunError: it is there and no journal.
        """
        self._path = path
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror}; give another file to --save.") from error
        *lines, cut = content.split(b"\n")
        #: Where a line that was cut off begins; the next one is written over it.
        self._cut_at = len(content) - len(cut) if cut else None
        if not (cut.startswith(_BEGINNING) or _BEGINNING.startswith(cut)):
            raise _describe_stranger(path)  # someone's file, which must not be overwritten
        self.entries = [_parse(line, path) for line in lines]

    def find(self, backbone: str, scope: Scope, fingerprint: Fingerprint) -> list[Result] | None:
        """Return the results of a backbone, for the same scope and fingerprint.

        None if there are none, and if a promise was broken: it may have been mended since.
        """
        for entry in reversed(self.entries):
            if entry.is_of(backbone, scope) and entry.has_fingerprint(fingerprint):
                return None if any(result.status in BAD for result in entry.results) else list(entry.results)
        return None

    def is_outdated(self, backbone: str, scope: Scope, fingerprint: Fingerprint) -> bool:
        """Whether there are results of a backbone for the same scope, but all with another fingerprint."""
        alike = [entry for entry in self.entries if entry.is_of(backbone, scope)]
        return bool(alike) and not any(entry.has_fingerprint(fingerprint) for entry in alike)

    def add(self, results: Sequence[Result], scope: Scope, fingerprint: Fingerprint) -> None:
        """Write the results of a backbone at the end.

        Raises:
            RunError: it cannot be written.
        """
        row = {
            "backbone": results[0].backbone,
            "level": scope.level,
            "only": scope.only,
            "versions": fingerprint.versions,
            "code": fingerprint.code,
            "results": [astuple(result)[1:] for result in results],
        }
        line = json.dumps(row).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                if self._cut_at is not None:
                    file.truncate(self._cut_at)
                file.write(line)
        except OSError as error:
            raise RunError(f"{self._path} cannot be written: {error.strerror}; give another file to --save.") from error
        self._cut_at = None


def _parse(line: bytes, path: Path) -> Entry:
    try:
        row: dict[str, Any] = json.loads(line)
        results = tuple(Result(row["backbone"], *result) for result in row.pop("results"))
        return Entry(**row, results=results)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _describe_stranger(path) from error


def _describe_stranger(path: Path) -> RunError:
    return RunError(f"{path} is no file that zoo check wrote; give another one to --save.")
