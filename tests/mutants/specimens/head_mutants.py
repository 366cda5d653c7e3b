"""Backbones whose heads are not as declared, or cannot be replaced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from specimens.good import AUX, BLOCKS, INPUT, TOKEN_BLOCKS, declare_aux, declare_squeeze, declare_tokens
from specimens.register import built, declared
from zoo.plugin import BlockSpec


def find_no_head(_model: Any) -> tuple[str, ...]:
    raise KeyError("classifier")


declared(
    "head-that-cannot-be-found",
    {"head.found": "cannot find its head: KeyError: 'classifier'"},
    lambda: {"head": find_no_head},
)

declared(
    "head-with-a-wrong-path",
    {"head.found": "its model has no such layer; its last linear or convolutional layers are"},
    lambda: {"head": ("fc",)},
)
declared(
    "head-that-is-not-a-layer",
    {"head.found": "which is a Sequential, not a Linear or Conv2d"},
    lambda: {"head": ("classifier",), "blocks": BLOCKS[:3]},
)
declared(
    "hidden-layer-as-head",
    {"head.found": "the head classifier.0 has 12 outputs, but the model has 10 logits; declare a different layer"},
    lambda: {"head": ("classifier.0",), "blocks": (*BLOCKS[:3], BlockSpec("last", ("classifier.3",)))},
)


@built({"head.fed": "a forward pass calls the head classifier.3 0 times; call it once, as a module"})
def runs_its_head_as_a_function(model: Any, torch: Any) -> None:
    def forward(images: Any) -> Any:
        head = model.classifier[3]
        return torch.nn.functional.linear(model.run_hidden(images), head.weight, head.bias)

    model.forward = forward


@built({"head.fed": "a forward pass calls the head classifier.3 2 times"})
def runs_its_head_twice(model: Any, _torch: Any) -> None:
    def forward(images: Any) -> Any:
        hidden, head = model.run_hidden(images), model.classifier[3]
        return (head(hidden) + head(hidden)) / 2

    model.forward = forward


@built(
    {
        "head.fed": "the head classifier.3 expects 16 features, but its input has 12",
        "head.complete": "in training mode, it fails even with heads of its own 10 classes",
    }
)
def has_the_wrong_in_features(model: Any, _torch: Any) -> None:
    model.classifier[3].in_features = 16


declared(
    "missing-aux-head",
    {"head.complete": "an output in training mode has shape (2, 10); declare its layer in head, or in aux_heads"},
    lambda: {"aux_heads": (), "blocks": (*BLOCKS, AUX)},
    of=declare_aux,
)
declared(
    "one-of-two-heads-missing",
    {"head.complete": "it fails in training mode: Attempting to broadcast a dimension"},
    lambda: {"head": ("other_head",), "blocks": (*TOKEN_BLOCKS, BlockSpec("head", ("head",)))},
    of=declare_tokens,
)


@built({"head.complete": "or forward() does not derive the number of classes from the head"})
def reshapes_to_ten(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits.reshape(len(logits), 10))


@built(
    {"head.complete": "in training mode, it fails even with heads of its own 10 classes: needs labels; fix forward()"}
)
def needs_labels_in_training(model: Any, _torch: Any) -> None:
    def refuse(logits: Any) -> Any:
        if model.training:
            raise ValueError("needs labels")
        return logits

    model.add("classifier", refuse)


@built({"head.complete": "in training mode, it returns 3 outputs, but has 1 declared aux_heads"}, of=declare_aux)
def returns_its_logits_twice(model: Any, _torch: Any) -> None:
    run = model.forward

    def forward(images: Any) -> Any:
        output = run(images)
        return (*output, output[0]) if model.training else output

    model.forward = forward


@built({"head.complete": "in training mode, an auxiliary head's logits come first"}, of=declare_aux)
def returns_its_auxiliary_logits_first(model: Any, _torch: Any) -> None:
    run = model.forward

    def forward(images: Any) -> Any:
        output = run(images)
        return output[::-1] if model.training else output

    model.forward = forward


@built({"head.replaced": "with new heads (num_classes=1), it returns (2,) for images of shape (3, 16, 16), not (2, 1)"})
def squeezes(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits.squeeze())


@built(
    {"head.replaced": "it returns (2, 10) for images of shape (3, 16, 16), not (2, 1000); only the heads may determine"}
)
def returns_at_most_ten_logits(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits[:, :10])


@built({"head.alone": "replacing its head also changes"})
def replaces_its_dropout(model: Any, torch: Any) -> None:
    class Sequential(torch.nn.Sequential):  # type: ignore[misc]  # torch is any module here
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "3" and "2" in self._modules:
                self._modules["2"] = torch.nn.Dropout(0.1)

    model.classifier = Sequential(*model.classifier)


@built({"head.typed": "in a model of torch.bfloat16 on meta, a new head classifier.3 is torch.float32 on meta"})
def casts_its_head_to_fp32(model: Any, _torch: Any) -> None:
    apply = model._apply
    model._apply = lambda *arguments: (apply(*arguments), model.classifier[3].float())[0]


declared(
    "classifier-with-a-wrong-path",
    {"head.mlp": "declares the head or classifier 'fc', but its model has no such layer"},
    lambda: {"classifier": "fc"},
)


@built(
    {"head.mlp": "declare a classifier whose input is also the input of its first linear layer"},
    classifier="classifier",
    head=("classifier.4",),
    blocks=(*BLOCKS[:3], BlockSpec("hidden", ("classifier.1",))),
)
def flattens_in_its_classifier(model: Any, torch: Any) -> None:
    model.pool = model.pool[0]
    model.classifier = torch.nn.Sequential(torch.nn.Flatten(), *model.classifier)


@built({"head.replayed": "something follows the head. Declare cached_features in unsupported, with the reason"})
def returns_probabilities(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits.softmax(1))


@built(
    {"head.replayed": "something follows the head. Declare cached_features in unsupported, with the reason"},
    of=declare_squeeze,
    input=replace(INPUT, min_size=4),
    unsupported={},
)
def pools_after_its_head(model: Any, torch: Any) -> None:
    model.layer1 = model.layer1[0]
    model.last = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


declared(
    "outdated-excuse-for-cached-features",
    {"head.replayed": "it declares cached_features unsupported (a softmax follows), but supports it; remove the entry"},
    lambda: {"unsupported": {"cached_features": "a softmax follows"}},
)


@built({"head.found": "the head classifier.3 is a Cosine that does more than its base class, which replaces it"})
def has_a_head_of_its_own(model: Any, torch: Any) -> None:
    class Cosine(torch.nn.Linear):  # type: ignore[misc]  # torch is any module here
        def forward(self, features: Any) -> Any:
            return super().forward(torch.nn.functional.normalize(features))

    model.classifier[3] = Cosine(12, 10)
