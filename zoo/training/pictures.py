"""Draw the pictures for the report of a run that has just been trained."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from zoo.models.sharding import is_sharded
from zoo.progress import Progress
from zoo.runs.folder import MODEL
from zoo.runs.model_file import read_tensors
from zoo.runs.record import Record
from zoo.runs.report.pictures import Pictures, draw_pictures
from zoo.training.prepare import Plan


def draw_run_pictures(plan: Plan, record: Record, progress: Progress) -> Pictures | None:
    """Draw the pictures from the predictions of the best model. A sharded network gets no pictures.

    This loads the best model into the network of the plan, unless all predictions are correct.
    """
    model = plan.network.model
    if is_sharded(model):  # The other processes would have to take part in each forward pass.
        return None
    if not all(item.is_correct for item in record.list_predictions()):
        # The model's own state dict has version numbers in its metadata, which MNASNet requires.
        state = model.state_dict()
        state.update(read_tensors(record.folder.path / MODEL))
        model.load_state_dict(state)
    model.eval()
    samples = {sample.path: sample for split in record.predictions.values() for sample in split.samples}
    pixels = plan.views.plain

    def read(path: Path) -> Tensor:
        return pixels.get(samples[path])

    with plan.hardware.autocast():  # As in the evaluation that these predictions come from.
        pictures = draw_pictures(record.list_predictions(), read, model, pixels.normalize)
    if pictures and pictures.problem:
        progress.say(f"note: {pictures.problem}")
    return pictures
