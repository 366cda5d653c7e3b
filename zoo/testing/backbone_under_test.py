"""A backbone under examination: its spec, and the models that its checks share."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.blocks import list_blocks
from zoo.models.build import Network, attach_head, build_model
from zoo.models.head import Head, find_head, replace_head
from zoo.models.meta_device import build_on_meta
from zoo.models.parameter_order import FirstUses
from zoo.models.weights.choose import Start
from zoo.registry.head_design import HeadDesign
from zoo.testing.isolation.side_effects import Watched, watching
from zoo.testing.observations import Answer, Lesson, Pass, list_outputs

if TYPE_CHECKING:
    from zoo.plugin import BackboneSpec, BlockSpec

#: Classes of the new heads that checks work with: a number that no network has by itself, so that what keeps another
#: one was forgotten.
NUM_CLASSES = 3
#: Classes of new auxiliary heads where these must be told from the others.
AUX_CLASSES = 4
#: Images in a batch; a batch norm needs two to learn.
BATCH = 2
SEED = 0
#: How often heads are drawn at random until one is heard.
DRAWS = 8
#: Pixels below which batch norms of deep networks see too few values to be stable.
SMALLEST_SIDE = 64


class Subject:
    """A backbone, and what of it is built once for all checks that only look."""

    def __init__(self, namespace: str, backbone: BackboneSpec) -> None:
        self.namespace = namespace
        self.backbone = backbone
        #: What was learned so far, by ``--train``; see `zoo.testing.training_steps.learn`.
        self.lessons: dict[str, Lesson] = {}

    def __str__(self) -> str:
        return self.backbone.name

    @cached_property
    def building(self) -> tuple[nn.Module | None, Watched]:
        """The model as built on the meta device, None where it cannot be; and what building did besides."""
        with watching(first=True) as watched:
            try:
                model = build_on_meta(self.backbone)
            except Exception as error:  # noqa: BLE001  # build.meta tells it
                watched.error = error
                return None, watched
        return model, watched

    @property
    def meta(self) -> nn.Module:
        """The model as built, on the meta device; checks look at it and leave it as it is."""
        model, _ = self.building
        assert model is not None, "a check that needs the model needs build.meta"
        return model

    @cached_property
    def rebuilding(self) -> tuple[nn.Module, Watched]:
        """Another model, built after all that its builder imports was imported; and what building did besides."""
        with watching(first=False) as watched:
            model = build_on_meta(self.backbone)
        return model, watched

    def get_spare(self, num_classes: int) -> tuple[nn.Module, Head]:
        """Return another model on the meta device, in eval mode and with new heads for so many classes.

        Checks share it and may change it, but for its structure: what they need they set.
        """
        model, _ = self.rebuilding
        return model.eval(), replace_head(self.backbone, model, num_classes, HeadDesign())

    @cached_property
    def head(self) -> Head:
        """Where the heads of the model as built are."""
        return find_head(self.backbone, self.meta)

    @cached_property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """The blocks of the model as built."""
        return list_blocks(self.backbone, self.meta, self.head)

    @cached_property
    def traced(self) -> Pass:
        """A forward pass of the model as built, on the meta device."""
        try:
            entered: dict[str, list[tuple[int, ...]]] = {path: [] for path in self.head.paths}
        except PluginError:  # head.found tells it
            entered = {}
        hooks = [
            self.meta.get_submodule(path).register_forward_pre_hook(
                lambda _module, inputs, path=path: entered[path].append(tuple(inputs[0].shape))
            )
            for path in entered
        ]
        uses = FirstUses(self.meta.parameters())
        with torch.no_grad(), uses:
            output = self.meta.eval()(self.draw_nothing())
        for hook in hooks:
            hook.remove()
        return Pass(output, uses.order, entered)

    @cached_property
    def trained(self) -> list[Tensor] | Exception:
        """What a pass in training gives, with new heads, from images of the smallest legal size; or what it raises."""
        return self.try_training(self.smallest_size)

    def try_training(self, size: tuple[int, int, int]) -> list[Tensor] | Exception:
        """Let images of that size through the spare model in training; what it raises is an answer too.

        Its auxiliary heads have ``AUX_CLASSES``, so that shapes tell which output is whose.
        """
        model, head = self.get_spare(NUM_CLASSES)
        if head.aux_paths:
            replace_head(replace(self.backbone, head=head.aux_paths, aux_heads=()), model, AUX_CLASSES, HeadDesign())
        try:
            with torch.no_grad():
                return list_outputs(model.train()(self.draw_nothing(size)))
        except Exception as error:  # noqa: BLE001  # which check it breaks, the checks decide
            return error

    def draw_nothing(self, size: tuple[int, int, int] | None = None) -> Tensor:
        """Return a batch of images without values, of shape (2, C, H, W)."""
        return torch.empty(BATCH, *(size or self.backbone.input.size), device="meta")

    @cached_property
    def odd_tensors(self) -> list[str]:
        """Names of what differs between two models that are built from one seed."""
        first, second = self._build().state_dict(), self._model.state_dict()
        names = first.keys() | second.keys()
        return sorted(name for name in names if not _are_same(first.get(name), second.get(name)))

    @cached_property
    def _model(self) -> nn.Module:
        return self._build()

    def _build(self) -> nn.Module:
        """Build the model with its values, the same ones every time."""
        torch.manual_seed(SEED)
        return build_model(self.backbone, None)

    @cached_property
    def network(self) -> Network:
        """The network with its values and a new head for three classes; a check sets what it wants to be set.

        Its heads are drawn again, without a bias, while it says nothing: of logits that a ReLU made all zero, or whose
        bias drowns features that as drawn are next to nothing, nothing can be told.
        """
        _ = self.odd_tensors  # while the model is as it was built
        network = attach_head(self.backbone, Start("none"), self._model, "linear", NUM_CLASSES)
        for seed in range(1, DRAWS):
            if tells_apart(_run(network.model, self.images)):
                break
            torch.manual_seed(seed)
            for path in network.head.paths:
                _draw_head(network.model.get_submodule(path))
        return network

    @cached_property
    def network_blocks(self) -> tuple[BlockSpec, ...]:
        """The blocks of that network."""
        return list_blocks(self.backbone, self.network.model, self.network.head)

    @cached_property
    def smallest_size(self) -> tuple[int, int, int]:
        """The smallest input that the spec allows: min_size, or what a backbone that claims image_sizes takes."""
        expected = self.backbone.input
        channels = expected.size[0]
        if expected.min_size is not None:
            return channels, expected.min_size, expected.min_size
        if "image_sizes" in self.backbone.supports:
            for side in range(SMALLEST_SIDE, min(expected.size[1:]), SMALLEST_SIDE // 2):
                if isinstance(self.try_training((channels, side, side)), list):
                    return channels, side, side
        return expected.size

    @cached_property
    def images(self) -> Tensor:
        """Two images of noise, of the smallest legal size."""
        return draw_images(self.smallest_size)

    @cached_property
    def answer(self) -> Answer:
        """What the network says of the images, until it learns something."""
        return self.ask()

    def ask(self) -> Answer:
        """Return what the network says of the images as it is now."""
        features: dict[str, Tensor] = {}
        hooks = [
            self.network.model.get_submodule(path).register_forward_pre_hook(
                lambda _module, inputs, path=path: features.update({path: inputs[0].clone()})
            )
            for path in self.network.head.paths
        ]
        logits = self.run(self.images)
        for hook in hooks:
            hook.remove()
        return Answer(logits, features)

    @cached_property
    def labels(self) -> Tensor:
        """The class that the network takes each image for least: where it is sure and right, no gradient is left."""
        return self.answer.logits.argmin(1)

    @cached_property
    def alone(self) -> Tensor:
        """The logits of the first image alone, of shape (1, classes), until the network learns something."""
        return self.run(self.images[:1])

    def forget_answers(self) -> None:
        """Say that the network has learned something."""
        for name in ("answer", "alone"):
            self.__dict__.pop(name, None)

    def run(self, images: Tensor) -> Tensor:
        """Return the logits of the network in eval mode."""
        return _run(self.network.model, images)


@torch.no_grad()
def _draw_head(layer: nn.Module) -> None:
    layer.reset_parameters()  # type: ignore[operator]  # of a linear layer or a convolution
    if isinstance(layer.bias, Tensor):
        layer.bias.zero_()


@torch.no_grad()
def _run(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model.eval()(images)
    return logits


def tells_apart(logits: Tensor) -> bool:
    """Whether no image gets the same logit for every class, and no two images get the same logits."""
    return bool((logits.amax(1) > logits.amin(1)).all()) and len({*map(tuple, logits.tolist())}) == len(logits)


def _are_same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is not None and other is not None and torch.equal(one, other)


def draw_images(size: tuple[int, int, int], count: int = BATCH) -> Tensor:
    """Draw images of shape (N, C, H, W), the same ones in every process."""
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(SEED))
