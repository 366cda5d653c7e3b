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

from zoo.errors import DataError
from zoo.files.limits import MATCH_SECONDS

_SEARCH = """
import json, re, sys
text, names = json.load(sys.stdin)
pattern = re.compile(text)
matches = map(pattern.search, names)
json.dump([match.group(pattern.groups) or None if match else None for match in matches], sys.stdout)
"""


def find_classes(pattern: re.Pattern[str], names: Sequence[str]) -> list[str | None]:
    """Return the class in each file name; None if the pattern does not match, or matches nothing.

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
    classes: list[str | None] = json.loads(done.stdout)
    return classes
