"""Phases of the tiny network, without a command."""

from __future__ import annotations

from dataclasses import replace

import torch

from zoo.data.dataset import Images
from zoo.data.pixel_cache import Views
from zoo.engine.device import choose_hardware
from zoo.engine.phase import Phase
from zoo.models.blocks import list_blocks, list_trainable
from zoo.models.build import Network
from zoo.models.freeze import Frozen
from zoo.models.head import replace_head
from zoo.models.weights.choose import WeightsSource
from zoo.plugin import BackboneSpec
from zoo.registry.head_design import HeadDesign
from zoo.registry.recipe import Recipe
from zoo.registry.train_scope import TrainScope


def make_phase(acme: BackboneSpec, images: Images, recipe: Recipe, train: str = "all") -> Phase:
    torch.manual_seed(recipe.seed)
    model = acme.build(None)
    head = replace_head(acme, model, len(images.classes), HeadDesign())
    frozen = Frozen(model, list_trainable(list_blocks(acme, model, head), head, TrainScope.parse(train)))
    network = Network(acme, WeightsSource("none"), HeadDesign(), model, head)
    recipe = replace(recipe, train=train)
    views = Views.build(acme.input, recipe.augmentation)
    return Phase(network, frozen, images, views, recipe, choose_hardware("cpu"))
