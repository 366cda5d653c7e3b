"""The record of a run: the fields of run.json, the history and the best epoch, on disk and for plugins."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.data.dataset import Images, report_left_out
from zoo.data.examination.kinds import MISSING_CLASS
from zoo.data.examination.summary import list_warnings, summarize_findings
from zoo.data.listing import SPLITS, LeftOut
from zoo.data.unexamined import list_emptied
from zoo.engine.metrics import Epoch, measure
from zoo.engine.missing_gradients import MissingGradients
from zoo.progress import Progress
from zoo.registry.fold import Fold
from zoo.registry.registry import Registry
from zoo.runs.fold_folders import OUT_OF_FOLD
from zoo.runs.folder import HISTORY, RUN, RunFolder
from zoo.runs.out_of_fold import format_predictions
from zoo.runs.predictions import Predicted, Predictions, select_readable


class Record:
    """The record of a run in its folder."""

    def __init__(self, folder: RunFolder, facts: Mapping[str, Any], registry: Registry, progress: Progress) -> None:
        """Begin the record with the fields that are known before the first step."""
        self.folder = folder
        self.facts: dict[str, Any] = json.loads(json.dumps(facts))  # This turns tuples into lists, as in run.json.
        self.history: list[dict[str, Any]] = []
        #: Predictions of the best model by split.
        self.predictions: dict[str, Predictions] = {}
        self._registry = registry
        self._progress = progress
        self._started = time.monotonic()
        #: Paths of the images that turned out to be unreadable since this process began.
        self._unreadable: Collection[str] = ()

    def resume(self, facts: Mapping[str, Any], history: Sequence[dict[str, Any]]) -> None:
        """Continue the record of an interrupted run, including its duration so far."""
        kept = ("started", "best", "val", "epochs", "seconds", "no_gradient")
        self.facts.update({name: facts[name] for name in kept if name in facts})
        data = self.facts["data"]
        data["left_out"] = max(data["left_out"], facts["data"]["left_out"], key=len)  # Training may have found more.
        data["findings"] = facts["data"].get("findings", data.get("findings", []))
        self.facts["resumed"] = [*facts.get("resumed", ()), len(history) + 1]
        self._started -= facts.get("seconds", 0.0)
        self.history = list(history)
        self._write_history()

    def open(self) -> None:
        """Notify plugins that the run has started or resumed."""
        self._announce("zoo_run_started")

    def add(self, epoch: Epoch) -> None:
        """Add an epoch to the history, and notify plugins."""
        self.history.append(dataclasses.asdict(epoch))
        self.facts.update(epochs=len(self.history), seconds=self.count_seconds())
        self._progress.say(str(epoch))
        self._write_history()
        self._announce("zoo_epoch_ended", epoch=self.history[-1])

    def count_seconds(self) -> float:
        """Return the duration of the run so far, in seconds."""
        return round(time.monotonic() - self._started, 3)

    def _write_history(self) -> None:
        self.folder.write_text(HISTORY, "".join(json.dumps(line) + "\n" for line in self.history))

    def note_best(self, epoch: Epoch, val: Mapping[str, Any]) -> None:
        """Record the best epoch so far and its validation metrics."""
        best = {"epoch": epoch.epoch, "val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}
        self.facts.update(best=best, val=val)

    def note_missing_gradients(self, found: MissingGradients) -> None:
        """Record the parameters of a phase that no gradient reached. A resumed phase finds them again."""
        others = [known for known in self.facts.get("no_gradient", ()) if known["phase"] != found.phase]
        self.facts["no_gradient"] = [*others, json.loads(json.dumps(dataclasses.asdict(found)))]

    def leave_out(self, found: Mapping[str, str], images: Images) -> None:
        """Record and report images that turned out to be unreadable during training, and classes without any others.

        Args:
            found: Paths of all these images so far, with the reasons.
            images: Images of the run.
        """
        self._unreadable = found.keys()
        known = {(item["path"], item["reason"]) for item in self.facts["data"]["left_out"]}
        new = [LeftOut(Path(path), reason) for path, reason in found.items() if (path, reason) not in known]
        report_left_out(new, self._progress)
        if not new and not self.history:
            self._progress.say("all images of the first epoch can be read")
        self.facts["data"]["left_out"] += [{"path": str(item.path), "reason": item.reason} for item in new]
        if new:
            self._report_emptied(images, found.keys())

    def _report_emptied(self, images: Images, unreadable: Collection[str]) -> None:
        """Record and report classes none of whose images can be read, once for each split."""
        summaries = self.facts["data"].setdefault("findings", [])  # Older versions of zoo recorded none.
        known = {
            (summary["split"], item.get("class_name"))
            for summary in summaries
            if summary["kind"] == MISSING_CLASS.code
            for item in summary["listed"]
        }
        found = [gap for split in SPLITS for gap in list_emptied(getattr(images, split), unreadable)]
        new = summarize_findings(gap for gap in found if (gap.split, gap.class_name) not in known)
        summaries += new
        for summary in new:
            for warning in list_warnings([summary], summary["split"]):
                self._progress.say(f"warning: {warning} can be read")

    def measure(self, probabilities: Tensor, images: Images, split: str) -> dict[str, Any]:
        """Return the metrics of the predictions for the readable images of a split.

        Args:
            probabilities: Tensor of shape (N, classes).
            images: Images of the run.
            split: ``val`` or ``test``.
        """
        return measure_split(probabilities, images, split, self._unreadable)

    def write_out_of_fold(self, probabilities: Tensor, images: Images, fold: Fold) -> None:
        """Write the predictions for the readable images of the fold that is held out.

        Args:
            probabilities: Tensor of shape (N, classes).
            images: Images of the run.
            fold: The fold.
        """
        samples = select_readable(images.val, self._unreadable)
        self.folder.write_text(OUT_OF_FOLD, format_predictions(samples, probabilities, images.classes, fold))

    def keep_predictions(self, probabilities: Tensor, images: Images, split: str) -> None:
        """Keep the best model's predictions for the readable images of a split; see `measure`."""
        samples = select_readable(getattr(images, split), self._unreadable)
        self.predictions[split] = Predictions.of(probabilities, samples, images.classes, split)

    def list_predictions(self) -> Iterator[Predicted]:
        """List the best model's predictions, split by split."""
        return chain.from_iterable(self.predictions.values())

    def write(self) -> None:
        """Write run.json, which marks a run as finished."""
        self.folder.write_json(RUN, self.facts)

    def close(self) -> None:
        """Notify plugins that the run is finished."""
        self._announce("zoo_run_finished")

    def _announce(self, event: str, **arguments: Any) -> None:
        run = {**self.facts, "path": str(self.folder.path)}
        for complaint in self._registry.announce(event, run=run, **arguments):
            self._progress.say(f"warning: {complaint}")


def measure_split(
    probabilities: Tensor, images: Images, split: str, unreadable: Collection[str] = ()
) -> dict[str, Any]:
    """Return the metrics of the predictions for a split; the probabilities have shape (N, classes).

    Images whose paths are in ``unreadable`` have no predictions.
    """
    samples = select_readable(getattr(images, split), unreadable)
    return measure(probabilities, [sample.label for sample in samples], images.classes)
