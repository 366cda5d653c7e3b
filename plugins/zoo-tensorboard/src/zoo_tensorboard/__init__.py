"""zoo's plugin for TensorBoard. It writes the metrics of each epoch into the folder ``tensorboard`` of the run.

Copy it to write a tracker of your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.plugin import hookimpl

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

#: Version of zoo's plugin contract that this module is written for.
ZOO_API = 2

#: TensorBoard's names of the metrics. It shows metrics with the same first part in one group.
TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/val",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/val",
    "lr": "lr",
}

#: The writer of each run. A run can train another one, its baseline, before it finishes.
_writers: dict[str, SummaryWriter] = {}


@hookimpl
def zoo_run_started(run: Mapping[str, Any]) -> None:
    """Begin a file of events. Its readers drop earlier events of the epochs that the run repeats."""
    from torch.utils.tensorboard import SummaryWriter  # Importing it takes seconds, and only runs need it.

    first_epoch = run.get("resumed", [1])[-1]
    _writers[run["path"]] = SummaryWriter(Path(run["path"]) / "tensorboard", purge_step=first_epoch)


@hookimpl
def zoo_epoch_ended(run: Mapping[str, Any], epoch: Mapping[str, Any]) -> None:
    """Write the metrics of an epoch."""
    writer = _writers[run["path"]]
    for name, tag in TAGS.items():
        writer.add_scalar(tag, epoch[name], epoch["epoch"])
    writer.flush()  # zoo does not repeat an epoch that is in a checkpoint, even if the process is killed.


@hookimpl
def zoo_run_finished(run: Mapping[str, Any]) -> None:
    """End the file."""
    _writers.pop(run["path"]).close()
