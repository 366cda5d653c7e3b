"""The thread that runs the model. It answers all images that are waiting with one batch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Thread

from zoo.data.decode import decode_image, quiet_pillow
from zoo.engine.inference import BATCH
from zoo.engine.saliency import compute_saliency
from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier
from zoo.runs.prediction import Prediction
from zoo.runs.report.overlay import encode_jpeg, highlight

#: Width of the picture of the saliency in pixels.
_WIDTH = 448


@dataclass(frozen=True)
class Result:
    """What the model says about an image."""

    prediction: Prediction
    #: JPEG in base64 that shows which places contributed most; empty if it was not asked for or there is none.
    saliency: str = ""


@dataclass(frozen=True)
class Job:
    """An image that waits for the model."""

    image: bytes
    #: Number of classes.
    top: int
    wants_saliency: bool
    answer: Future[Result] = field(default_factory=Future)


class Worker:
    """A thread that runs a model on images, because a model must not run in several threads at once.

    Images that arrive while the model runs wait for the next batch. Nothing limits how many wait, so the caller must.
    """

    def __init__(self, classifier: Classifier, registry: Registry) -> None:
        """Start the thread."""
        self._classifier = classifier
        self._registry = registry
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def submit(self, image: bytes, *, top: int, saliency: bool) -> Future[Result]:
        """Let the model classify an image.

        Args:
            image: Content of an image file.
            top: Number of classes.
            saliency: Whether to show which places contributed most.

        Returns:
            The future answer. If the image cannot be decoded, its prediction has an error. A future that is canceled
            before the model begins costs nothing.
        """
        job = Job(image, top, saliency)
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """Answer the images that are waiting, and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            jobs = [job, *self._take_waiting()]
            self._answer([job for job in jobs if job.answer.set_running_or_notify_cancel()])

    def _take_waiting(self) -> list[Job]:
        jobs: list[Job] = []
        try:
            while len(jobs) < BATCH - 1:
                if (job := self._jobs.get_nowait()) is None:
                    self._jobs.put(None)  # The thread ends after this batch.
                    break
                jobs.append(job)
        except Empty:
            pass
        return jobs

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Answer images that are decoded and classified together. If this fails, each of them is tried alone."""
        if not jobs:
            return
        try:
            predictions = self._predict(jobs)
        except Exception as error:  # noqa: BLE001  # The caller gets it, and the thread must not end.
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
            else:
                for job in jobs:
                    self._answer([job])
            return
        found = [*zip(jobs, predictions, strict=True)]
        for job, prediction in sorted(found, key=lambda pair: pair[0].wants_saliency):
            self._finish(job, prediction)

    def _predict(self, jobs: Sequence[Job]) -> list[Prediction]:
        most = max(job.top for job in jobs)
        found = self._classifier.predict([job.image for job in jobs], top=most, registry=self._registry)
        return [replace(prediction, top=prediction.top[: job.top]) for job, prediction in zip(jobs, found, strict=True)]

    def _finish(self, job: Job, prediction: Prediction) -> None:
        try:
            shown = job.wants_saliency and not prediction.error
            job.answer.set_result(Result(prediction, self._draw_saliency(job.image) if shown else ""))
        except Exception as error:  # noqa: BLE001  # as above
            job.answer.set_exception(error)

    def _draw_saliency(self, image: bytes) -> str:
        steps, model = self._classifier.transform.steps, self._classifier.model
        with quiet_pillow():
            pixels = steps.reduce(decode_image(image, steps.bits, steps.channels))
        batch = steps.normalize(pixels[None].to(next(model.parameters()).device))
        try:
            [saliency] = compute_saliency(model, batch)
        except RuntimeError:  # Some networks support no backward pass in eval mode. The page then shows only the image.
            return ""
        return encode_jpeg(highlight(pixels, saliency), _WIDTH)
