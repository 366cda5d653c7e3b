"""Backbones without a head, or with parameters of the head, that are not as declared."""

from __future__ import annotations

from typing import Any

from specimens.good import (
    BLOCKS,
    declare_field_tower,
    declare_scaled,
    declare_tower,
    declare_tower_weights,
    declare_weights,
)
from specimens.register import built, declared
from zoo.plugin import BlockSpec

declared(
    "tower-with-another-number-of-features",
    {
        "head.added": "TowerNet, which returns a tensor of shape (2, 12) instead of features of shape (N, 16); declare "
        "features=12 ("
    },
    lambda: {"features": 16},
    of=declare_tower,
)
declared(
    "tower-that-returns-a-mapping",
    {"head.added": "of shape (N, 12); declare the one that holds the features as output_field"},
    lambda: {"output_field": None},
    of=declare_field_tower,
)
declared(
    "tower-with-a-wrong-output-field",
    {"head.added": "features (2, 12), images (2, 3, 16, 16); declare the field that holds the features"},
    lambda: {"output_field": "pooled"},
    of=declare_field_tower,
)


@built(
    {"head.added": "(2, 1, 12) instead of features of shape (N, 12); register a hook in build that pools them"},
    declare_tower,
)
def returns_tokens(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda features: features[:, None])


declared(
    "tower-without-features",
    {
        "forward.logits": "logits of shape (2, 10). If these are features, because the model has no head, declare "
        "features=12, and in head the name of the layer that zoo adds ",
        "head.found": "are layer1.0, layer2.0, classifier.0. If the model has no head and returns features, declare",
    },
    lambda: {"features": None, "num_classes": 10},
    of=declare_tower,
)
declared(
    "tower-of-objects-without-features",
    {
        "forward.logits": "If the model has no head, declare the one that holds the features, and their number in",
        "head.found": "its model has no such layer",
    },
    lambda: {"features": None, "output_field": None},
    of=declare_field_tower,
)
declared(
    "tower-with-a-name-that-exists",
    {"build.meta": "has no head, but its TowerNet already has 'classifier'; declare another name in head"},
    lambda: {"head": ("classifier",)},
    of=declare_tower,
)
declared(
    "tower-with-the-name-of-a-method",
    {"build.meta": "has no head, but its TowerNet already has 'forward'; declare another name in head"},
    lambda: {"head": ("forward",)},
    of=declare_tower,
)
declared(
    "tower-whose-params-include-the-head",
    {"build.params": "params is 2,374, but the model has 2,244; declare 2244"},
    lambda: {"params": 2374},
    of=declare_tower,
)
declared(
    "tower-whose-constructor-has-a-head",
    {"build.upstream": "classifier.3.bias, classifier.3.weight (2 in all) differ; correct the constructor"},
    lambda: {"constructor": "specimens.networks.ConvNet({num_classes})"},
    of=declare_tower,
)
declared(
    "tower-whose-weights-have-a-head",
    {"weights.fit": "it has the unknown tensors classifier.3.bias, classifier.3.weight"},
    lambda: {"weights": (declare_tower_weights("good.safetensors"),)},
    of=declare_tower,
)
declared(
    "tower-whose-weights-declare-classes",
    {"spec.fields": "has weights=['V1']; it must be a tuple of weights with num_classes=None"},
    lambda: {"weights": (declare_weights("headless.safetensors"),)},
    of=declare_tower,
)
declared(
    "tower-with-logits-of-other-weights",
    {"weights.golden": "output the features [8.0229, 0.0], not [1.0, 2.0]; the file is not the intended one"},
    lambda: {"weights": (declare_tower_weights(logits=(1.0, 2.0)),)},
    of=declare_tower,
)
declared(
    "tower-with-a-dotted-head",
    {"spec.fields": "has head=('a.b',); it must be a tuple of one name without dots"},
    lambda: {"head": ("a.b",)},
    of=declare_tower,
)

declared(
    "head-parameter-that-does-not-exist",
    {"head.found": "the head parameter 'scale', but its model has no such parameter; similar parameters are"},
    lambda: {"head_parameters": ("scale",), "blocks": (*BLOCKS, BlockSpec("scale", ("logit_scale",)))},
    of=declare_scaled,
)
declared(
    "head-parameter-in-a-layer-of-the-head",
    {"head.found": "declares the head parameter 'classifier.3.bias', which is part of a layer of the head; remove it"},
    lambda: {"head_parameters": ("classifier.3.bias", "logit_scale")},
    of=declare_scaled,
)
declared(
    "head-parameter-in-a-block",
    {"blocks.partition": "parameter logit_scale is in scale and the head"},
    lambda: {"blocks": (*BLOCKS, BlockSpec("scale", ("logit_scale",)))},
    of=declare_scaled,
)


@built(
    {
        "learn.head": "two training steps do not change the head logit_scale; let gradients reach it",
        "learn.all": "no gradient reaches logit_scale (1 in all)",
    },
    of=declare_scaled,
)
def ignores_its_scale(model: Any, _torch: Any) -> None:
    model.forward = lambda images: model.classifier(model.run_features(images))
