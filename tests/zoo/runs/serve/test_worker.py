from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event
from typing import Any

import pytest

from zoo.registry.registry import Registry
from zoo.runs.classifier import Classifier
from zoo.runs.prediction import Prediction
from zoo.runs.serve.worker import Worker


class Blocked(Classifier):
    """A classifier that notes the size of each batch, and waits before the first one."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier._loaded, classifier.header)
        self.sizes: list[int] = []
        self.begun, self.go = Event(), Event()

    def predict(self, images: Sequence[bytes], *arguments: Any, **options: Any) -> list[Prediction]:
        self.sizes.append(len(images))
        self.begun.set()
        assert self.go.wait(60)
        if b"fail" in images:
            raise ValueError("a bad image")
        return super().predict(images, *arguments, **options)


@pytest.fixture
def blocked(classifier: Classifier) -> Blocked:
    return Blocked(classifier)


@pytest.fixture
def worker(blocked: Blocked, registry: Registry, photo: bytes) -> Iterator[Worker]:
    """A worker that is running the model on one image."""
    worker = Worker(blocked, registry)
    first = worker.submit(photo, top=1, saliency=False)
    assert blocked.begun.wait(60)
    yield worker
    blocked.go.set()
    worker.close()
    assert first.done()


def test_images_that_wait_are_classified_in_one_batch(worker: Worker, blocked: Blocked, photo: bytes) -> None:
    answers = [worker.submit(photo, top=top, saliency=False) for top in (1, 2, 1)]
    blocked.go.set()
    assert [len(answer.result(60).prediction.top) for answer in answers] == [1, 2, 1]
    assert blocked.sizes == [1, 3]


def test_a_batch_has_at_most_32_images(worker: Worker, blocked: Blocked, photo: bytes) -> None:
    answers = [worker.submit(photo, top=1, saliency=False) for _ in range(40)]
    blocked.go.set()
    assert all(answer.result(60).prediction.label for answer in answers)
    assert blocked.sizes == [1, 32, 8]


def test_canceled_images_are_not_classified(worker: Worker, blocked: Blocked, photo: bytes) -> None:
    canceled, kept = (worker.submit(photo, top=1, saliency=False) for _ in range(2))
    assert canceled.cancel()
    blocked.go.set()
    assert kept.result(60).prediction.label
    assert blocked.sizes == [1, 1]


def test_an_image_that_fails_does_not_affect_the_others(worker: Worker, blocked: Blocked, photo: bytes) -> None:
    failing, other = worker.submit(b"fail", top=1, saliency=False), worker.submit(photo, top=1, saliency=False)
    blocked.go.set()
    assert other.result(60).prediction.label
    with pytest.raises(ValueError, match="a bad image"):
        failing.result(60)


def test_closing_answers_the_images_that_wait(worker: Worker, blocked: Blocked, photo: bytes) -> None:
    answer = worker.submit(photo, top=1, saliency=False)
    blocked.go.set()
    worker.close()
    assert answer.done()
    assert answer.result().prediction.label
