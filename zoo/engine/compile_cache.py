"""Where torch keeps what it compiled: in the cache folder, and not among all that is temporary."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

from zoo.files.cache import cache_folder

KIND = "compiled"
#: What torch reads, and sets itself where it is not set.
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
#: Which it then sets to a folder below that one, on GPUs.
BELOW = "TRITON_CACHE_DIR"


@contextmanager
def keeping_artefacts() -> Iterator[None]:
    """Let torch keep what it compiles in the cache folder until the block is over, unless the user named another."""
    before = {name: os.environ.get(name) for name in (VARIABLE, BELOW)}
    chosen = before[VARIABLE]
    if chosen is not None and not _is_torchs_own(Path(chosen)):
        yield
        return
    with ExitStack() as stack:
        os.environ[VARIABLE] = str(_make_folder(stack))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _is_torchs_own(folder: Path) -> bool:
    """Tell whether it is what torch chooses, and then leaves in the environment, when it is imported."""
    return folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("torchinductor_")


def _make_folder(stack: ExitStack) -> Path:
    folder = cache_folder() / KIND / f"torch-{metadata.version('torch')}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # for `zoo cache list`
    except OSError:  # nothing can be kept; torch wants a folder all the same
        return Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
    return folder
