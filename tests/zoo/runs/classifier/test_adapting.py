from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from zoo.errors import DataError, FrozenMoved, OptionError
from zoo.models.freeze import digest_frozen
from zoo.progress import Advance, Silent
from zoo.runs.classifier import Classifier

#: Settings with which a step changes the predictions of the tiny network clearly.
STRONG = "views=4,steps=2,lr=0.5"


@pytest.fixture
def digest(classifier: Classifier) -> Iterator[str]:
    """The digest of the model, which must be the same at the end of the test."""
    before = digest_frozen(classifier.model, ())
    yield before
    assert digest_frozen(classifier.model, ()) == before


@pytest.mark.usefixtures("digest")
def test_no_parameter_or_buffer_changes(classifier: Classifier, images: list[Path]) -> None:
    plain = [prediction.top for prediction in classifier.predict(images)]
    adapted = [prediction.top for prediction in classifier.predict(images, adapt=STRONG)]
    assert adapted != plain
    assert [prediction.top for prediction in classifier.predict(images)] == plain


@pytest.mark.usefixtures("digest")
def test_nothing_changes_if_the_network_fails_midway(classifier: Classifier, images: list[Path]) -> None:
    calls: list[int] = []

    def fail(_module: nn.Module, _inputs: object, _output: object) -> None:
        calls.append(1)
        if len(calls) == 5:  # in the second step of the second image
            raise KeyboardInterrupt

    hook = [*classifier.model.modules()][-1].register_forward_hook(fail)
    with pytest.raises(KeyboardInterrupt):
        classifier.predict(images, adapt=STRONG)
    hook.remove()
    assert all(parameter.grad is None for parameter in classifier.model.parameters())


def test_a_network_that_changes_itself_is_refused(classifier: Classifier, images: list[Path]) -> None:
    parameters = [*classifier.model.parameters()]

    def change(_module: nn.Module, _inputs: object) -> None:
        with torch.no_grad():
            parameters[0].add_(1)

    classifier.model.register_forward_pre_hook(change)
    with pytest.raises(FrozenMoved, match="changed its own parameters or buffers"):
        classifier.predict(images, adapt=True)


def test_the_order_and_the_other_images_do_not_matter(classifier: Classifier, images: list[Path]) -> None:
    together = {prediction.path: prediction.top for prediction in classifier.predict(images, adapt=STRONG)}
    backwards = {prediction.path: prediction.top for prediction in classifier.predict(images[::-1], adapt=STRONG)}
    alone = {path: classifier.predict(path, adapt=STRONG)[0].top for path in images}
    assert together == backwards == alone


def test_the_name_of_an_image_does_not_matter(classifier: Classifier, images: list[Path]) -> None:
    (named,) = classifier.predict(images[0], adapt=STRONG)
    (unnamed,) = classifier.predict(Image.open(images[0]), adapt=STRONG)
    assert named.top == unnamed.top


def test_images_that_cannot_be_read_are_rows(classifier: Classifier, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    good, bad, last = classifier.predict([images[0], tmp_path / "bad.png", images[1]], adapt=True)
    assert good.label
    assert bad.error
    assert last.label


@pytest.mark.parametrize("image", [Image.new("L", (1, 1)), Image.new("RGB", (3, 500), "red"), Image.new("1", (40, 2))])
def test_tiny_and_gray_images_can_be_used(classifier: Classifier, image: Image.Image) -> None:
    (prediction,) = classifier.predict(image, adapt=True)
    assert prediction.probability


def test_evaluate_adapts_to_each_image(classifier: Classifier, photos: Path) -> None:
    result = classifier.evaluate(photos, errors=True, adapt=STRONG)
    predictions = classifier.predict(photos / "val", truth=True, adapt=STRONG)
    right = [prediction.is_correct for prediction in predictions]
    assert result["accuracy"] == pytest.approx(sum(map(bool, right)) / len(right))
    assert len(result["errors"]) == right.count(False)
    assert result["loss"] != pytest.approx(classifier.evaluate(photos)["loss"], rel=1e-3)


def test_without_steps_evaluate_has_the_loss_of_the_probabilities(classifier: Classifier, photos: Path) -> None:
    result = classifier.evaluate(photos, adapt="steps=0,views=1")
    predictions = classifier.predict(photos / "val", truth=True, top=2, adapt="steps=0,views=1")
    losses = [-torch.tensor(dict(prediction.top)[prediction.truth or ""]).log() for prediction in predictions]
    assert result["loss"] == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


@dataclasses.dataclass
class Removing(Silent):
    """A progress display that removes a file when the adaptation begins."""

    path: Path

    @contextmanager
    def track(self, title: str, total: int | None) -> Iterator[Advance]:
        if title == "adapting":
            self.path.unlink()
        with super().track(title, total) as advance:
            yield advance


def test_an_image_that_disappears_during_an_evaluation_is_an_error(
    classifier: Classifier, images: list[Path], photos: Path
) -> None:
    with pytest.raises(DataError, match=rf"{images[3].name}.*there is no such file"):
        classifier.evaluate(photos, adapt=True, progress=Removing(images[3]))


def test_a_network_without_gradients_is_refused(classifier: Classifier, images: list[Path]) -> None:
    def detach(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        return output.detach()

    classifier.model.register_forward_hook(detach)
    with pytest.raises(OptionError, match="logits without gradients"):
        classifier.predict(images, adapt=True)


def test_invalid_settings_are_refused_at_the_call(classifier: Classifier, images: list[Path]) -> None:
    with pytest.raises(OptionError, match="`adapt`"):
        classifier.iter_predict(images, adapt="views=0")


def test_predictions_name_their_images_in_order(classifier: Classifier, images: list[Path]) -> None:
    adapted = classifier.predict(images, adapt=True)
    assert [prediction.path for prediction in adapted] == images
    plain = classifier.predict(images)
    assert [dataclasses.replace(item, top=()) for item in adapted] == [dataclasses.replace(i, top=()) for i in plain]
