"""Open a run: a folder on this machine, or ``hf://owner/name`` on the Hugging Face Hub."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from zoo.files.hub import HubAddress, is_hub_address, pull_run
from zoo.progress import Progress
from zoo.runs.folder import RunFolder


def open_run(run: str | PathLike[str], progress: Progress) -> RunFolder:
    """Return the folder of a run.

    Args:
        run: Run folder, or the model.safetensors in it, or ``hf://owner/name`` with an optional ``@revision``.
        progress: Receives a message if the run is on the Hub.

    Raises:
        DownloadError: If the run is on the Hub and cannot be fetched.
        OptionError: If huggingface_hub is needed but not installed.
        RunError: If there is no run.
    """
    if is_hub_address(run):
        return RunFolder.open(pull_run(HubAddress.parse(run), progress))
    return RunFolder.open(Path(run))
