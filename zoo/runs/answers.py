"""Answer the question about each image: predict its classes, and measure its distance to the training images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from zoo.data.listing import ImageFile
from zoo.data.unlabeled import Unlabeled
from zoo.data.web_images import WebImage
from zoo.engine.inference import Result
from zoo.progress import Progress
from zoo.runs.evaluation import require_finite
from zoo.runs.loaded_model import LoadedModel
from zoo.runs.prediction import Prediction, Question
from zoo.runs.training_features import TrainingFeatures


@dataclass(frozen=True)
class Answers:
    """The predictions of a model for some images."""

    loaded: LoadedModel
    classes: Sequence[str]
    question: Question
    #: None if no distances are measured.
    training: TrainingFeatures | None

    def run(self, images: Sequence[Unlabeled], progress: Progress, *, ahead: bool) -> Iterator[Prediction]:
        """Yield the prediction of each image; see `zoo.engine.inference.Inference.run`."""
        for image, values in self._compute(images, progress, ahead=ahead):
            yield self._answer(image, values)

    def _compute(self, images: Sequence[Unlabeled], progress: Progress, *, ahead: bool) -> Iterator[Result]:
        if self.question.adapt is not None:
            return self.loaded.predict_adapted(images, self.question.adapt, progress, ahead=ahead)
        if self.training is not None:
            return self.loaded.predict_and_measure(images, self.training.measure, progress, ahead=ahead)
        return self.loaded.predict(images, progress, ahead=ahead)

    def _answer(self, image: Unlabeled, values: Tensor | str) -> Prediction:
        truth = image.class_name or None if self.question.truth and isinstance(image, ImageFile) else None
        url = image.shown if isinstance(image, WebImage) else None
        if isinstance(values, str):
            return Prediction(image.path, error=values, truth=truth, url=url)
        require_finite(values[None], [image.path])
        best, indices = values[: len(self.classes)].topk(min(self.question.top, len(self.classes)))
        names = (self.classes[index] for index in indices.tolist())
        distance, percentile = self._locate(values[len(self.classes) :])
        return Prediction(
            image.path,
            tuple(zip(names, best.tolist(), strict=True)),
            truth=truth,
            min_probability=self.question.min_probability,
            url=url,
            distance=distance,
            percentile=percentile,
            max_percentile=100.0 if self.question.max_percentile is None else self.question.max_percentile,
        )

    def _locate(self, measured: Tensor) -> tuple[float, float] | tuple[None, None]:
        """Return the distance and its percentile, or None if they are not measured."""
        if self.training is None:
            return None, None
        distance, closer = measured.tolist()
        return distance, self.training.get_percentile(closer)
