"""The results file: one line for each backbone, so that a long run can be interrupted and resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.files.paths import read_file
from zoo.testing.results.fingerprint import Fingerprint
from zoo.testing.results.result import BAD, Result
from zoo.testing.runner import Scope

#: Beginning of every line.
_BEGINNING = b'{"backbone": "'


@dataclass(frozen=True)
class Entry:
    """The results of one backbone, and the scope and code that they apply to."""

    backbone: str
    scope: Scope
    fingerprint: Fingerprint
    results: tuple[Result, ...]


class ResultsFile:
    """A file of entries; an incomplete last line, left by an interrupted run, is ignored."""

    def __init__(self, path: Path) -> None:
        """Read the file if it exists.

        Raises:
            RunError: If the file is not a results file.
        """
        self._path = path
        try:
            content = read_file(path) if path.exists() else b""
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror}; pass a different file to --save.") from error
        *lines, incomplete = content.split(b"\n")
        #: Position of an incomplete last line, which the next line overwrites.
        self._incomplete_at = len(content) - len(incomplete) if incomplete else None
        if not (incomplete.startswith(_BEGINNING) or _BEGINNING.startswith(incomplete)):
            raise _make_foreign_file_error(path)  # A user's own file must not be overwritten.
        self.entries = [_parse(line, path) for line in lines]

    def find(self, backbone: str, scope: Scope, fingerprint: Fingerprint) -> list[Result] | None:
        """Return the results of a backbone with the same scope and fingerprint.

        Return None if there are none, or if a check failed, because the fault may have been fixed since.
        """
        wanted = (backbone, scope, fingerprint)
        found = [entry for entry in self.entries if (entry.backbone, entry.scope, entry.fingerprint) == wanted]
        if not found or any(result.status in BAD for result in found[-1].results):
            return None
        return list(found[-1].results)

    def is_outdated(self, backbone: str, scope: Scope, fingerprint: Fingerprint) -> bool:
        """Return whether all results of a backbone with the same scope have a different fingerprint."""
        wanted = (backbone, scope)
        found = [entry.fingerprint for entry in self.entries if (entry.backbone, entry.scope) == wanted]
        return bool(found) and fingerprint not in found

    def add(self, results: Sequence[Result], scope: Scope, fingerprint: Fingerprint) -> None:
        """Append the results of a backbone to the file.

        Raises:
            RunError: If the file cannot be written.
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
                if self._incomplete_at is not None:
                    file.truncate(self._incomplete_at)
                file.write(line)
        except OSError as error:
            raise RunError(
                f"{self._path} cannot be written: {error.strerror}; pass a different file to --save."
            ) from error
        self._incomplete_at = None


def _parse(line: bytes, path: Path) -> Entry:
    try:
        row: dict[str, Any] = json.loads(line)
        results = tuple(Result(row["backbone"], *result) for result in row.pop("results"))
        scope = Scope(row.pop("level"), row.pop("only"))
        fingerprint = Fingerprint(row.pop("versions"), row.pop("code", {}))
        return Entry(**row, scope=scope, fingerprint=fingerprint, results=results)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _make_foreign_file_error(path) from error


def _make_foreign_file_error(path: Path) -> RunError:
    return RunError(f"{path} is not a file that zoo check wrote; pass a different file to --save.")
