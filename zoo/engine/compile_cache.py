"""The cache of torch.compile, kept in zoo's cache folder instead of the system's temporary directory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

from zoo.files.cache import cache_folder

KIND = "compiled"
#: Environment variable that names torch's cache folder. torch sets it if the user has not.
VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
#: Environment variable for the cache of Triton kernels. On GPUs, torch sets it to a subfolder of its cache folder.
TRITON_VARIABLE = "TRITON_CACHE_DIR"


@contextmanager
def keeping_artifacts() -> Iterator[None]:
    """Return a context in which torch caches compiled code in zoo's cache folder, unless the user chose a folder."""
    before = {name: os.environ.get(name) for name in (VARIABLE, TRITON_VARIABLE)}
    chosen = before[VARIABLE]
    if chosen is not None and not _is_default_of_torch(Path(chosen)):
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


def _is_default_of_torch(folder: Path) -> bool:
    """Return whether torch itself chose the folder and wrote its choice to the environment."""
    return folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith("torchinductor_")


def _make_folder(stack: ExitStack) -> Path:
    folder = cache_folder() / KIND / f"torch-{metadata.version('torch')}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # `zoo cache list` shows when an entry was last used.
    except OSError:  # The cache folder is not writable, but torch needs a folder anyway.
        return Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
    return folder
