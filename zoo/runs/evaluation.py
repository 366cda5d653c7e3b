"""Evaluate a loaded model on labeled images."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from zoo.data.decode import quiet_pillow
from zoo.data.loader import EvalBatches
from zoo.data.pixel_cache import Pixels
from zoo.engine.batches import prepare
from zoo.engine.device import allowing_tf32, plan_loading
from zoo.engine.inference import BATCH
from zoo.engine.loop import evaluate, finite_or_none
from zoo.engine.metrics import measure
from zoo.errors import DataError, RunError
from zoo.runs.predictions import Predicted, Predictions

if TYPE_CHECKING:
    from zoo.data.eval_dataset import LabeledImages
    from zoo.data.sample import Sample
    from zoo.progress import Progress
    from zoo.registry.adapt_design import AdaptDesign
    from zoo.runs.loaded_model import LoadedModel


@dataclass(frozen=True)
class Evaluation:
    """The metrics and the predictions of a model on labeled images."""

    #: ``split``, ``loss``, ``accuracy`` and more; see `zoo.runs.classifier.Classifier.evaluate`.
    metrics: dict[str, Any]
    predictions: Predictions

    def list_errors(self) -> list[Predicted]:
        """Return the predictions that are wrong, the most confident first."""
        wrong = [item for item in self.predictions if not item.is_correct]
        return sorted(wrong, key=lambda item: (-(item.probability or 0.0), str(item.path)))


def evaluate_images(
    loaded: LoadedModel,
    images: LabeledImages,
    classes: Sequence[str],
    progress: Progress,
    adapt: AdaptDesign | None = None,
) -> Evaluation:
    """Evaluate a model.

    Args:
        loaded: The model.
        images: Labeled images; the labels are indices into the classes.
        classes: Names of the classes.
        progress: Receives the progress.
        adapt: How the model is adapted to each image; None means not at all.

    Raises:
        DataError: If an image can no longer be read.
        OptionError: If the model cannot be adapted.
        RunError: If the model returns NaN or infinite values for an image.
    """
    samples = images.samples
    loss, probabilities = (
        _evaluate(loaded, samples, progress) if adapt is None else _evaluate_adapted(loaded, samples, adapt, progress)
    )
    require_finite(probabilities, [sample.path for sample in samples])
    left_out = [{"path": str(item.path), "reason": item.reason} for item in images.left_out]
    metrics = measure(probabilities, [sample.label for sample in samples], classes)
    found = {"split": images.split, "loss": finite_or_none(loss), **metrics, "left_out": left_out}
    return Evaluation(found, Predictions.of(probabilities, samples, classes, images.split))


def _evaluate(loaded: LoadedModel, samples: Sequence[Sample], progress: Progress) -> tuple[float, Tensor]:
    """Return the mean loss and the probabilities."""
    hardware, steps = loaded.hardware, loaded.transform.steps
    batches = EvalBatches(samples, Pixels(steps, budget=0), plan_loading(hardware, BATCH))
    with (
        quiet_pillow(),
        closing(batches),
        allowing_tf32(hardware),
        progress.track("evaluating", len(samples)) as advance,
    ):
        prepared = prepare(batches, steps.normalize, hardware)
        score, probabilities = evaluate(loaded.model, prepared, hardware, advance)
    return score.loss, probabilities


def _evaluate_adapted(
    loaded: LoadedModel, samples: Sequence[Sample], design: AdaptDesign, progress: Progress
) -> tuple[float, Tensor]:
    with quiet_pillow():
        results = [*loaded.predict_adapted([sample.file for sample in samples], design, progress, ahead=True)]
    for image, values in results:
        if isinstance(values, str):
            raise DataError(f"cannot use the image {str(image.path)!r}: {values}. It was readable before; run again.")
    probabilities = torch.stack([values for _, values in results if isinstance(values, Tensor)])
    logs = probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
    return nll_loss(logs, torch.tensor([sample.label for sample in samples])).item(), probabilities


def require_finite(probabilities: Tensor, paths: Sequence[Path]) -> None:
    """Refuse the NaN that softmax makes of logits that are not finite; the most probable class would mean nothing.

    Raises:
        RunError: If a row is not finite. The message names its image.
    """
    for path, is_finite in zip(paths, probabilities.isfinite().all(1).tolist(), strict=True):
        if not is_finite:
            raise RunError(
                f"the model of this run returns NaN or infinite values for {path}, so it cannot be used; "
                "train it again, or copy the run folder again if the model was copied."
            )
