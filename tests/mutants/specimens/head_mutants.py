"""Backbones whose heads are not where they were declared, or do not let themselves be replaced."""

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
    "head-of-a-wrong-path",
    {"head.found": "its model has no such layer; its last linear or convolutional layers are"},
    lambda: {"head": ("fc",)},
)
declared(
    "head-that-is-no-layer",
    {"head.found": "which is a Sequential, not a Linear or Conv2d"},
    lambda: {"head": ("classifier",), "blocks": BLOCKS[:3]},
)
declared(
    "hidden-layer-as-head",
    {"head.found": "the head classifier.0 has 12 outputs, and there are 10 logits; name another layer"},
    lambda: {"head": ("classifier.0",), "blocks": (*BLOCKS[:3], BlockSpec("last", ("classifier.3",)))},
)


@built({"head.fed": "the head classifier.3 is called 0 times a pass; call it once, as a module"})
def runs_its_head_as_a_function(model: Any, torch: Any) -> None:
    def forward(images: Any) -> Any:
        head = model.classifier[3]
        return torch.nn.functional.linear(model.run_hidden(images), head.weight, head.bias)

    model.forward = forward


@built({"head.fed": "the head classifier.3 is called 2 times a pass"})
def runs_its_head_twice(model: Any, _torch: Any) -> None:
    def forward(images: Any) -> Any:
        hidden, head = model.run_hidden(images), model.classifier[3]
        return (head(hidden) + head(hidden)) / 2

    model.forward = forward


@built(
    {
        "head.fed": "the head classifier.3 takes 16 features and is given 12",
        "head.complete": "in training it fails, with heads of its own 10 classes too",
    }
)
def says_another_width(model: Any, _torch: Any) -> None:
    model.classifier[3].in_features = 16


declared(
    "aux-head-forgotten",
    {"head.complete": "an output in training is of shape (2, 10): declare its layer in head, or in aux_heads"},
    lambda: {"aux_heads": (), "blocks": (*BLOCKS, AUX)},
    of=declare_aux,
)
declared(
    "one-of-two-heads-forgotten",
    {"head.complete": "it fails in training: Attempting to broadcast a dimension"},
    lambda: {"head": ("other_head",), "blocks": (*TOKEN_BLOCKS, BlockSpec("head", ("head",)))},
    of=declare_tokens,
)


@built({"head.complete": "or forward() takes the number of classes from elsewhere than the head"})
def reshapes_to_ten(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits.reshape(len(logits), 10))


@built({"head.complete": "in training it fails, with heads of its own 10 classes too: needs labels; mend it"})
def needs_labels_in_training(model: Any, _torch: Any) -> None:
    def refuse(logits: Any) -> Any:
        if model.training:
            raise ValueError("needs labels")
        return logits

    model.add("classifier", refuse)


@built({"head.complete": "in training it gives 3 outputs, and declares 1 aux_heads"}, of=declare_aux)
def gives_its_logits_twice(model: Any, _torch: Any) -> None:
    run = model.forward

    def forward(images: Any) -> Any:
        output = run(images)
        return (*output, output[0]) if model.training else output

    model.forward = forward


@built({"head.complete": "in training an auxiliary head's logits come first"}, of=declare_aux)
def gives_its_auxiliary_logits_first(model: Any, _torch: Any) -> None:
    run = model.forward

    def forward(images: Any) -> Any:
        output = run(images)
        return output[::-1] if model.training else output

    model.forward = forward


@built({"head.replaced": "with a new head for 1 classes it gives (2,), not (2, 1); let the head alone decide"})
def squeezes(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits.squeeze())


@built({"head.replaced": "with a new head for 1000 classes it gives (2, 10), not (2, 1000); let the head alone decide"})
def gives_ten_at_the_most(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits[:, :10])


@built({"head.alone": "replacing its head changes"})
def resets_its_norm(model: Any, torch: Any) -> None:
    class Sequential(torch.nn.Sequential):  # type: ignore[misc]  # torch is any module here
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "3" and "2" in self._modules:
                self._modules["2"] = torch.nn.Dropout(0.1)

    model.classifier = Sequential(*model.classifier)


@built({"head.typed": "a new head classifier.3 in a model of torch.bfloat16 on meta is torch.float32 on meta"})
def keeps_its_head_precise(model: Any, _torch: Any) -> None:
    apply = model._apply
    model._apply = lambda *arguments: (apply(*arguments), model.classifier[3].float())[0]


declared(
    "classifier-of-a-wrong-path",
    {"head.mlp": "declares the head or classifier 'fc', but its model has no such layer"},
    lambda: {"classifier": "fc"},
)


@built(
    {"head.mlp": "declare as classifier what takes the features that its first linear layer takes"},
    classifier="classifier",
    head=("classifier.4",),
    blocks=(*BLOCKS[:3], BlockSpec("hidden", ("classifier.1",))),
)
def flattens_in_its_classifier(model: Any, torch: Any) -> None:
    model.pool = model.pool[0]
    model.classifier = torch.nn.Sequential(torch.nn.Flatten(), *model.classifier)


@built({"head.replayed": "something follows the head. Say why in unsupported, under cached_features"})
def gives_probabilities(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits.softmax(1))


@built(
    {"head.replayed": "something follows the head. Say why in unsupported, under cached_features"},
    of=declare_squeeze,
    input=replace(INPUT, min_size=4),
    unsupported={},
)
def pools_after_its_head(model: Any, torch: Any) -> None:
    model.layer1 = model.layer1[0]
    model.last = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


declared(
    "cannot-cache-any-more",
    {"head.replayed": "it says that it has no cached_features (a softmax follows), and it has; take that out"},
    lambda: {"unsupported": {"cached_features": "a softmax follows"}},
)
