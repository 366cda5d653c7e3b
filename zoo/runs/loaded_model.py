"""A model that is ready for inference: of a finished run, or a backbone as it was published."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from zoo.data.image_transform import ImageTransform
from zoo.data.transform import build_eval_transform
from zoo.data.unlabeled import Unlabeled
from zoo.data.views import build_views_transform
from zoo.engine.adaptation import Adapter
from zoo.engine.device import Hardware, choose_hardware, place
from zoo.engine.embedding import build_tap
from zoo.engine.inference import Inference, Result
from zoo.models.build import build_backbone
from zoo.models.head import Head, get_head
from zoo.models.weights.choose import choose_input, choose_weights
from zoo.plugin import BackboneSpec, InputSpec
from zoo.progress import Progress
from zoo.registry.adapt_design import AdaptDesign
from zoo.registry.registry import Registry, open_registry


@dataclass(frozen=True)
class LoadedModel:
    """A model on its device, in eval mode, and its input."""

    backbone: BackboneSpec
    model: nn.Module
    head: Head
    input: InputSpec
    hardware: Hardware

    @cached_property
    def transform(self) -> ImageTransform:
        """The preprocessing of an image."""
        return ImageTransform(build_eval_transform(self.input))

    def predict(self, images: Sequence[Unlabeled], progress: Progress, *, ahead: bool) -> Iterator[Result]:
        """Yield probabilities of shape (classes,) for each image; see `Inference.run`."""
        return self._run(lambda batch: self.model(batch).float().softmax(1), images, progress, ahead=ahead)

    def predict_adapted(
        self, images: Sequence[Unlabeled], design: AdaptDesign, progress: Progress, *, ahead: bool
    ) -> Iterator[Result]:
        """Yield probabilities like `predict`, each from the model after it was adapted to the image.

        Raises:
            FrozenMoved: If the model itself has changed; raised after the last image.
            OptionError: If the logits have no gradients; raised when the first image is reached.
        """
        self.model.eval()
        adapter, transform = Adapter(self.model, design), build_views_transform(self.input, design.views)
        inference = Inference(transform, self.hardware, adapter.predict, batch_size=1)
        with adapter.verified(), progress.track("adapting", len(images)) as advance:
            for result in inference.run(images, progress, ahead=ahead):
                advance(1)
                yield result

    def predict_and_measure(
        self, images: Sequence[Unlabeled], measure: Callable[[Tensor], Tensor], progress: Progress, *, ahead: bool
    ) -> Iterator[Result]:
        """Yield probabilities like `predict`, followed by K numbers about the features: shape (classes + K,).

        Args:
            images: Images and files that are left out.
            measure: Function from the input of the head for a batch, of shape (N, width) on the CPU, to (N, K).
            progress: Receives messages.
            ahead: As for `Inference.run`.

        Raises:
            OptionError: If the input of the head is not a vector, tokens or a feature map; raised with the first batch.
        """
        tap = build_tap(self.backbone, self.model, self.head, None)

        def compute(batch: Tensor) -> Tensor:
            logits, features = tap.compute_with_logits(batch)
            return torch.cat([logits.float().softmax(1).cpu(), measure(features.float().cpu())], 1)

        return self._run(compute, images, progress, ahead=ahead)

    def embed(self, images: Sequence[Unlabeled], block: str | None, progress: Progress) -> Iterator[Result]:
        """Yield features of shape (width,) for each image; see `zoo.engine.embedding`. Call this in `quiet_pillow`.

        Raises:
            NameNotFound: If there is no such block. This is raised at the call.
            OptionError: If the block does not return features; raised when the first batch is reached.
        """
        tap = build_tap(self.backbone, self.model, self.head, block)
        return self._run(tap.compute, images, progress, ahead=True)

    def _run(
        self, compute: Callable[[Tensor], Tensor], images: Sequence[Unlabeled], progress: Progress, *, ahead: bool
    ) -> Iterator[Result]:
        self.model.eval()
        return Inference(self.transform.steps, self.hardware, compute).run(images, progress, ahead=ahead)


def load_backbone(
    name: str, weights: str | None, device: str, registry: Registry, progress: Progress
) -> LoadedModel:  # fmt: skip
    """Build a backbone with its weights and its own head.

    Args:
        name: Name of the backbone, as for `zoo.build`.
        weights: Weights, as for `zoo.build`.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        registry: Registry in which the backbone is looked up.
        progress: Receives messages about the weights.

    Raises:
        NameNotFound: If there is no such backbone, or if it has no such weights.
        OptionError: If it has no published weights and ``weights`` is None, or the device is not available.
        WeightsError: If the weights cannot be read or do not match the backbone.
    """
    hardware = choose_hardware(device, "fp32")
    resolved = registry.resolve(name)
    source = choose_weights(resolved, weights, progress)
    model, used = build_backbone(resolved.backbone, source, progress)
    place(model, hardware)
    model.eval()
    return LoadedModel(
        resolved.backbone, model, get_head(resolved.backbone, model), choose_input(resolved.backbone, used), hardware
    )


def build_transform(name: str, *, weights: str | None = None, registry: Registry | None = None) -> ImageTransform:
    """Build the preprocessing that a backbone expects, without building the backbone.

    Args:
        name: Name of the backbone, as for `zoo.build`. ``@TAG`` after it chooses the weights.
        weights: Weights whose preprocessing to use, as for `zoo.build`. Default: the tag in the name, or ``DEFAULT``.
        registry: Registry in which the backbone is looked up. Default: all installed plugins.

    Returns:
        A callable that takes a path, bytes, a file object, a PIL image, a NumPy array or a tensor, and returns the
        input of the model, a float32 tensor of shape (C, H, W).

    Raises:
        NameNotFound: If there is no such backbone, or if it has no such weights.
    """
    resolved = (registry or open_registry()).resolve(name)
    asked = "none" if weights is None and not resolved.backbone.weights else weights
    return ImageTransform(build_eval_transform(choose_input(resolved.backbone, choose_weights(resolved, asked))))
