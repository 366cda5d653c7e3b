"""Runs on the Hugging Face Hub: their addresses, and how huggingface_hub fetches them into its own cache.

huggingface_hub decides about the server, the login, the cache folder and ``HF_HUB_OFFLINE``. It stores each file once,
and timm and transformers use the same copy.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zoo.errors import OptionError, RunError
from zoo.files.download import is_offline
from zoo.files.hub_errors import Attempt
from zoo.progress import Progress

_NAME = r"\w[\w.-]*/\w[\w.-]*"
_ADDRESS = re.compile(rf"hf:/{{1,2}}({_NAME})(?:@(\w[\w./-]*))?", re.ASCII)
_REVISION_OF_TIMM = re.compile(r"timm/(\w+)\.([\w.-]+)")
#: The files of a run that zoo reads. The model is fetched last, because it is large.
SMALL, MODEL = ("run.json", "history.jsonl", "predictions.jsonl"), "model.safetensors"


@dataclass(frozen=True)
class HubAddress:
    """The address of a repository: ``hf://owner/name``, with an optional ``@revision``."""

    repo: str
    #: Branch, tag or commit; None for the default branch.
    revision: str | None = None

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> HubAddress:
        """Return the address in a text.

        Raises:
            OptionError: If it is not an address.
        """
        found = _ADDRESS.fullmatch(os.fspath(text))
        if found is None or ".." in os.fspath(text):
            raise OptionError(f"cannot use {os.fspath(text)!r}: write hf://owner/name or hf://owner/name@revision.")
        return cls(found[1], found[2])

    def __str__(self) -> str:
        return f"hf://{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_hub_address(path: object) -> bool:
    """Return whether the path of a run is an address on the Hub. A path that exists is not."""
    return isinstance(path, (str, os.PathLike)) and str(path).startswith("hf:") and not os.path.lexists(path)


def is_in_hub_cache(folder: Path) -> bool:
    """Return whether a folder belongs to the cache of huggingface_hub, in which zoo writes nothing."""
    parents = folder.resolve().parents
    return any(one.name == "snapshots" and one.parent.name.startswith("models--") for one in parents)


def pull_run(address: HubAddress, progress: Progress) -> Path:
    """Fetch the files of a run that zoo reads, and return their folder, which belongs to huggingface_hub.

    Nothing else in the repository is fetched. Without a connection, the files are those that were fetched last.

    Raises:
        DownloadError: If the files cannot be fetched.
        OptionError: If huggingface_hub is not installed.
        RunError: If there is no such repository or revision, or if it is not a run.
    """
    require_hub(str(address))
    folder = _fetch(address, address.revision, list(SMALL))
    if not (folder / SMALL[0]).is_file():
        raise RunError(f"{address} is not a run: it has no {SMALL[0]}{_advise(address)}.")
    state = "using" if (folder / MODEL).exists() else "fetching"
    progress.say(f"{state} {address}, commit {folder.name[:12]}")
    # The folder's name is the commit, so a push in the meantime cannot mix two runs.
    return _fetch(address, folder.name, [MODEL])


def require_hub(asked: str) -> None:
    """Refuse what needs huggingface_hub if it is not installed.

    Raises:
        OptionError: If it is not installed.
    """
    if find_spec("huggingface_hub") is None:
        raise OptionError(f"{asked} needs huggingface_hub; install it with: pip install 'zoo-backbones[hf]'")


@contextmanager
def quiet_hub() -> Iterator[None]:
    """Return a context without the progress bars and the warnings of huggingface_hub, which show text of the server."""
    import huggingface_hub.utils

    bars: Any = huggingface_hub.utils  # It does not export these functions explicitly.
    logger, was_disabled = logging.getLogger("huggingface_hub"), bars.are_progress_bars_disabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    bars.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if not was_disabled:
            bars.enable_progress_bars()


def _fetch(address: HubAddress, revision: str | None, names: list[str]) -> Path:
    from huggingface_hub import snapshot_download

    with quiet_hub(), Attempt(address.repo, address.revision):
        folder = snapshot_download(
            address.repo, revision=revision, allow_patterns=names, local_files_only=is_offline(),
            library_name="zoo-backbones",
        )  # fmt: skip
    return Path(folder)


def _advise(address: HubAddress) -> str:
    """Return what to do with the weights of a backbone, whose repositories also contain a model.safetensors."""
    found = _REVISION_OF_TIMM.fullmatch(address.repo)
    return f"; to fine-tune these weights, pass timm/{found[1]}@{found[2]} as the backbone" if found else ""
