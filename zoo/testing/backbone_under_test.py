"""A backbone under test: its spec, and the models that its checks share."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor, nn

from zoo.errors import PluginError
from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.build import Network, attach_head, build_model
from zoo.models.freeze import Frozen
from zoo.models.head import Head, get_head, replace_head
from zoo.models.meta_device import build_on_meta
from zoo.models.parameter_order import FirstUses
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec, BlockSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.train_scope import TrainScope
from zoo.testing.isolation.side_effects import SideEffects, watch_side_effects
from zoo.testing.observations import MetaPass, Prediction, list_outputs, recorded_inputs
from zoo.testing.training_steps import TrainingSteps, choose_images, take_steps

#: Classes of the new heads that checks work with: a number that no network has by itself, so that an output of another
#: size is that of a forgotten head.
NUM_CLASSES = 3
#: Classes of new auxiliary heads, so that their outputs differ from the others.
AUX_CLASSES = 4
#: Images in a batch; a batch norm needs two to learn.
BATCH = 2
SEED = 0
#: How often heads are drawn at random until their logits differ.
DRAWS = 8
#: Pixels below which batch norms of deep networks see too few values to be stable.
SMALLEST_SIDE = 64


class BackboneUnderTest:
    """A backbone, and what is built of it once for all checks."""

    def __init__(self, namespace: str, spec: BackboneSpec) -> None:
        self.namespace = namespace
        self.spec = spec

    @cached_property
    def building(self) -> tuple[nn.Module | None, SideEffects]:
        """The model as built on the meta device, None if that fails; and the side effects of building it."""
        with watch_side_effects(first=True) as effects:
            try:
                model = build_on_meta(self.spec)
            except Exception as error:  # noqa: BLE001  # build.meta reports it
                effects.error = error
                return None, effects
        return model, effects

    @property
    def meta(self) -> nn.Module:
        """The model as built, on the meta device; checks must not change it."""
        model, _ = self.building
        assert model is not None, "a check that needs the model needs build.meta"
        return model

    @cached_property
    def rebuilding(self) -> tuple[nn.Module, SideEffects]:
        """Another model, built when its builder has made all its imports; and the side effects of building it."""
        with watch_side_effects(first=False) as effects:
            model = build_on_meta(self.spec)
        return model, effects

    def attach_heads(self, num_classes: int) -> tuple[nn.Module, Head]:
        """Return a second model on the meta device, in eval mode and with new heads for that many classes.

        Checks share it. They may change anything but its structure, and set what they need.
        """
        model, _ = self.rebuilding
        return model.eval(), replace_head(self.spec, model, num_classes, HeadDesign())

    @cached_property
    def head(self) -> Head:
        """Where the heads of the model as built are."""
        return get_head(self.spec, self.meta)

    @cached_property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """The blocks of the model as built."""
        return list_blocks(self.spec, self.meta, self.head)

    @cached_property
    def traced(self) -> MetaPass:
        """A forward pass of the model as built, on the meta device."""
        try:
            paths = self.head.paths
        except PluginError:  # head.found reports it
            paths = ()
        uses = FirstUses(self.meta.parameters())
        with recorded_inputs(self.meta, paths) as entered, torch.no_grad(), uses:
            return MetaPass(self.meta.eval()(self.make_meta_images()), uses.order, entered)

    @cached_property
    def trained(self) -> list[Tensor] | Exception:
        """What a pass in training gives, with new heads, from images of the smallest legal size; or what it raises."""
        return self.try_training(self.smallest_size)

    def try_training(self, size: tuple[int, int, int]) -> list[Tensor] | Exception:
        """Run the second model in training on images of that size; returns its outputs, or what it raises.

        Its auxiliary heads have ``AUX_CLASSES``, so that shapes show which output is theirs.
        """
        model, head = self.attach_heads(NUM_CLASSES)
        if head.aux_paths:
            replace_head(replace(self.spec, head=head.aux_paths, aux_heads=()), model, AUX_CLASSES, HeadDesign())
        try:
            with torch.no_grad():
                return list_outputs(model.train()(self.make_meta_images(size)))
        except Exception as error:  # noqa: BLE001  # which check it breaks, the checks decide
            return error

    def make_meta_images(self, size: tuple[int, int, int] | None = None) -> Tensor:
        """Return a batch of images without values, of shape (2, C, H, W)."""
        return torch.empty(BATCH, *(size or self.spec.input.size), device="meta")

    @cached_property
    def unrepeatable_tensors(self) -> list[str]:
        """Names of what differs between two models that are built from one seed."""
        first, second = self._build().state_dict(), self._model.state_dict()
        same = {name for name in first.keys() & second.keys() if torch.equal(first[name], second[name])}
        return sorted((first.keys() | second.keys()) - same)

    @cached_property
    def _model(self) -> nn.Module:
        return self._build()

    def _build(self) -> nn.Module:
        """Build the model with its values, the same ones every time."""
        torch.manual_seed(SEED)
        return build_model(self.spec, None)

    @cached_property
    def network(self) -> Network:
        """The network with its values and a new head for three classes; a check sets what it needs.

        Its heads are drawn again, without a bias, while its logits do not differ: a ReLU can make them all zero, and a
        bias can drown features that are tiny as drawn. Such logits prove nothing.
        """
        _ = self.unrepeatable_tensors  # while the model is as it was built
        network = attach_head(self.spec, WeightsSource("none"), self._model, "linear", NUM_CLASSES)
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
        return list_blocks(self.spec, self.network.model, self.network.head)

    @cached_property
    def smallest_size(self) -> tuple[int, int, int]:
        """The smallest input that the spec allows: min_size, or what a backbone that claims image_sizes takes."""
        expected = self.spec.input
        channels = expected.size[0]
        if expected.min_size is not None:
            return channels, expected.min_size, expected.min_size
        if "image_sizes" in self.spec.supports:
            for side in range(SMALLEST_SIDE, min(expected.size[1:]), SMALLEST_SIDE // 2):
                if isinstance(self.try_training((channels, side, side)), list):
                    return channels, side, side
        return expected.size

    @cached_property
    def images(self) -> Tensor:
        """Two images of noise, of the smallest legal size."""
        return draw_images(self.smallest_size)

    @cached_property
    def prediction(self) -> Prediction:
        """What the network makes of the images, until it is trained."""
        return self.predict()

    def predict(self) -> Prediction:
        """Run the network on the images, as it is now."""
        with recorded_inputs(self.network.model, self.network.head.paths) as features:
            return Prediction(self.run(self.images), features)

    @cached_property
    def labels(self) -> Tensor:
        """The least likely class of each image: a network that is sure and correct has no gradient left."""
        return self.prediction.logits.argmin(1)

    @cached_property
    def first_logits(self) -> Tensor:
        """The logits of the first image alone, of shape (1, classes), until the network is trained."""
        return self.run(self.images[:1])

    def forget_predictions(self) -> None:
        """Drop what was predicted: the network is about to change."""
        for name in ("prediction", "first_logits"):
            self.__dict__.pop(name, None)

    def freeze(self, train: str) -> Frozen:
        """Freeze the network as ``--train`` does."""
        return Frozen(
            self.network.model, list_trainable(self.network_blocks, self.network.head, TrainScope.parse(train))
        )

    @cached_property
    def head_training(self) -> TrainingSteps:
        """What two steps of training the head alone did to the network."""
        images = choose_images(self.network.model, self.images)
        batch = images, self.labels[: len(images)]
        self.forget_predictions()
        return take_steps(self.network.model, self.freeze("head"), batch, self.spec.aux_weight)

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


def draw_images(size: tuple[int, int, int], count: int = BATCH) -> Tensor:
    """Draw images of shape (N, C, H, W), the same ones in every process."""
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(SEED))
