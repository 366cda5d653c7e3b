"""Search file names for their classes, in a separate process with a time limit.

Some regular expressions, such as ``(a+)+$``, take exponentially long, and Python cannot interrupt them in a thread.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from zoo.errors import DataError
from zoo.files.limits import MATCH_SECONDS

_SEARCH = """
import json, re, sys
text, names = json.load(sys.stdin)
pattern = re.compile(text)
found = [[match.group(pattern.groups) for match in pattern.finditer(name)] for name in names]
json.dump([[texts[0] or None, *filter(None, texts[1:])] if texts else [None] for texts in found], sys.stdout)
"""


@dataclass(frozen=True, slots=True)
class Matches:
    """The classes in the names of files."""

    #: Class by file; None if the pattern does not match its name, or matches nothing.
    classes: list[str | None]
    #: Notes about names that contain several classes.
    notes: list[str]


def find_classes(pattern: re.Pattern[str], names: Sequence[str]) -> Matches:
    """Find the class in each file name: the first match of the pattern.

    Raises:
        DataError: If it takes too long, or no process can be started.
    """
    normalized = [unicodedata.normalize("NFC", name) for name in names]
    limit = MATCH_SECONDS.read()
    try:
        # The options keep the environment and site-packages out of the process.
        done = subprocess.run(  # noqa: S603  # this interpreter and the script above
            [sys.executable, "-I", "-S", "-W", "ignore", "-c", _SEARCH],
            input=json.dumps([pattern.pattern, normalized]), stdout=subprocess.PIPE, encoding="ascii",
            timeout=limit, check=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"`label_from` {pattern.pattern!r} takes more than {limit} seconds for {len(names):,} file names; use a "
            f"simpler pattern, without a repetition inside a repetition, or set {MATCH_SECONDS.variable} to a larger "
            "number."
        ) from error
    except (OSError, subprocess.CalledProcessError) as error:
        raise DataError(f"the process that searches the file names for their classes failed: {error}.") from error
    found: list[list[str | None]] = json.loads(done.stdout)
    classes = [texts[0] for texts in found]
    return Matches(classes, _note_several(names, found, set(classes)))


def _note_several(names: Sequence[str], found: Sequence[Sequence[str | None]], classes: set[str | None]) -> list[str]:
    """Return a note if other parts of a name match, too, and are classes of other images."""
    several = [
        (name, texts)
        for name, texts in zip(names, found, strict=True)
        if any(text in classes and text != texts[0] for text in texts[1:])
    ]
    if not several:
        return []
    name, (first, *_) = several[0]
    count = f"{len(several)} of {len(names)} file names"
    return [f"`label_from` matches several times in {count}; the first match counts: {name!r} is {first!r}"]
