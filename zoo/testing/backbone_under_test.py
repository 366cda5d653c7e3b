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
from zoo.plugin.capabilities import needs_cpu
from zoo.plugin.fields import checks_deferred
from zoo.registry.head_design import HeadDesign
from zoo.registry.train_scope import TrainScope
from zoo.testing.isolation.side_effects import SideEffects, watch_side_effects
from zoo.testing.passes import (
    MetaPass,
    TrainingSteps,
    averaging_on_meta,
    list_outputs,
    recorded_inputs,
    take_steps,
)

#: Number of classes of the new heads that checks attach. No published network has this many classes, so an output of
#: any other size reveals an undeclared head.
NUM_CLASSES = 3
#: Number of classes of new auxiliary heads; it differs from NUM_CLASSES so that their outputs can be told apart.
AUX_CLASSES = 4
#: Number of images in a batch; batch norm cannot be trained on a single image.
BATCH = 2
SEED = 0
#: Maximum number of times that heads are initialized until their logits differ.
MAX_INITS = 8
#: Smallest number that is not subnormal in float32.
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny
#: Side of an image, in pixels, below which batch norms of deep networks see too few values to be stable.
SMALLEST_SIDE = 64


class BackboneUnderTest:
    """A backbone, and the models that are built once and shared by all of its checks."""

    def __init__(self, namespace: str, spec: BackboneSpec) -> None:
        self.namespace = namespace
        self.spec = spec

    @cached_property
    def building(self) -> tuple[nn.Module | None, SideEffects]:
        """The model as built on the meta device, or None if building fails, and the side effects of building.

        If the backbone declares ``meta`` unsupported, this model and all others of level meta are on the CPU.
        """
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
        """A second model, built when all imports are done, and the side effects of building it."""
        with watch_side_effects(first=False) as effects:
            model = build_on_meta(self.spec)
        return model, effects

    def attach_heads(self, num_classes: int) -> tuple[nn.Module, Head]:
        """Return the second model on the meta device, in eval mode and with new heads for ``num_classes`` classes.

        The checks share this model. They may change everything but its structure, so each check must set the mode and
        the frozen parameters that it relies on.
        """
        model, _ = self.rebuilding
        return model.eval(), replace_head(self.spec, model, num_classes, HeadDesign())

    def list_added(self) -> tuple[str, ...]:
        """Return the path of the head that zoo added, if upstream's model has none."""
        return () if self.spec.features is None or callable(self.spec.head) else self.spec.head

    @cached_property
    def head(self) -> Head:
        """The location of the heads."""
        return get_head(self.spec, self.meta)

    @cached_property
    def blocks(self) -> tuple[BlockSpec, ...]:
        """The blocks, without the parameters of the heads."""
        return list_blocks(self.spec, self.meta, self.head)

    @cached_property
    def traced(self) -> MetaPass:
        """A forward pass of the model as built, on the meta device."""
        try:
            paths = self.head.paths
        except PluginError:  # head.found reports it
            paths = ()
        uses = FirstUses(self.meta.parameters())
        with recorded_inputs(self.meta, paths) as inputs, torch.no_grad(), uses:
            return MetaPass(self.meta.eval()(self.make_meta_images()), uses.order, inputs)

    @cached_property
    def trained(self) -> list[Tensor] | Exception:
        """The outputs of `try_training` for images of the smallest size, or the error raised."""
        return self.try_training(self.smallest_size)

    def try_training(self, size: tuple[int, int, int]) -> list[Tensor] | Exception:
        """Run the second model with new heads in training mode; return its outputs or the error raised.

        Its auxiliary heads have ``AUX_CLASSES`` outputs, so that their outputs can be recognized by their shape.

        Args:
            size: Channels, height and width of the images.
        """
        model, head = self.attach_heads(NUM_CLASSES)
        if head.aux_paths:
            replace_head(replace(self.spec, head=head.aux_paths, aux_heads=()), model, AUX_CLASSES, HeadDesign())
        try:
            with torch.no_grad(), averaging_on_meta(model):
                return list_outputs(model.train()(self.make_meta_images(size)))
        except Exception as error:  # noqa: BLE001  # the checks decide which of them fails
            return error

    def make_meta_images(self, size: tuple[int, int, int] | None = None) -> Tensor:
        """Return a batch of images on the device of the models of level meta, of shape (2, C, H, W)."""
        size = size or self.spec.input.size
        if self.device.type == "cpu":
            return torch.randn(BATCH, *size, generator=torch.Generator().manual_seed(SEED))
        return torch.empty(BATCH, *size, device=self.device)

    @property
    def device(self) -> torch.device:
        """The device of the models of level meta."""
        return torch.device("cpu" if needs_cpu(self.spec) else "meta")

    def build(self) -> nn.Module:
        """Build the model on the CPU, with the same seed every time."""
        torch.manual_seed(SEED)
        return build_model(self.spec, None)

    @cached_property
    def network(self) -> Network:
        """The network on the CPU, with a new head for three classes.

        Its heads are reinitialized, with the bias set to zero, until its logits differ. A ReLU can make all logits
        zero, and a bias can outweigh the tiny features of an untrained network. Such logits would prove nothing. The
        checks share this network, so each check must set the mode and the frozen parameters that it relies on.
        """
        with checks_deferred():  # Other checks report invalid fields.
            spec = replace(self.spec, unused=())  # learn.all reports a fault of `unused`, for the same reason.
        network = attach_head(spec, WeightsSource("none"), self.build(), "linear", NUM_CLASSES)
        for seed in range(1, MAX_INITS):
            if all_differ(_run(network.model, self.images)):
                break
            torch.manual_seed(seed)
            for path in network.head.paths:
                _reinitialize(network.model.get_submodule(path))
        return network

    @cached_property
    def smallest_size(self) -> tuple[int, int, int]:
        """The smallest input size that is known to work.

        This is min_size if the backbone declares it. Otherwise, if the backbone claims image_sizes, it is the smallest
        size from SMALLEST_SIDE upward at which the model can be trained. In all other cases, it is the declared size.
        """
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
        """Two images of random noise, of the smallest size."""
        return generate_images(self.smallest_size)

    @cached_property
    def labels(self) -> Tensor:
        """The least likely class of each image, because a correct and confident network has no gradient."""
        return self.run(self.images).argmin(1)

    def freeze(self, train: str) -> Frozen:
        """Freeze the network as the `train` option does, except that unused parameters are trainable.

        This way, `learn.all` shows whether a gradient reaches them.
        """
        trainable = list_trainable(self.blocks, self.network.head, TrainScope.parse(train))
        return Frozen(self.network.model, trainable, untrained=self.network.fixed)

    @cached_property
    def head_training(self) -> TrainingSteps:
        """The effects of two training steps that train only the network's head."""
        batch = self.images, self.labels
        return take_steps(self.network.model, self.freeze("head"), batch, self.spec.aux_weight)

    def run(self, images: Tensor) -> Tensor:
        """Return the network's logits in eval mode, of shape (N, 3)."""
        return _run(self.network.model, images)


@torch.no_grad()
def _reinitialize(layer: nn.Module) -> None:
    layer.reset_parameters()  # type: ignore[operator]  # linear layers and convolutions have it
    if isinstance(layer.bias, Tensor):
        layer.bias.zero_()


@torch.no_grad()
def _run(model: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = model.eval()(images)
    return logits


def all_differ(logits: Tensor) -> bool:
    """Return whether the logits differ between the classes of each image, and between any two images.

    Subnormal numbers count as zero: some processors round them to it, and what is left of a signal is rounding.
    """
    logits = logits.where(logits.abs() >= SMALLEST_NORMAL, 0.0)
    return bool((logits.amax(1) > logits.amin(1)).all()) and len({*map(tuple, logits.tolist())}) == len(logits)


def generate_images(size: tuple[int, int, int]) -> Tensor:
    """Generate a batch of random images of shape (2, C, H, W), which are the same in every process."""
    return torch.randn(BATCH, *size, generator=torch.Generator().manual_seed(SEED))
