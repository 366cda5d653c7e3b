"""Backbones whose forward pass is not what was declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from specimens.good import INPUT, declare_tokens
from specimens.register import built, declared


@built({"forward.logits": "in eval mode it gives a dict for two images; let forward() return logits, of shape (2, 10)"})
def gives_a_dict(model: Any, _torch: Any) -> None:
    model.forward = lambda images: {"logits": model.classifier(model.run_features(images))}


declared(
    "num-classes-miscounted",
    {"forward.logits": "it gives (2, 10) for two images; let forward() return logits, of shape (2, 1000)"},
    lambda: {"num_classes": 1000},
)
declared(
    "size-of-others",
    {"forward.logits": "it cannot take images of 3x32x32"},
    lambda: {"input": replace(INPUT, size=(3, 32, 32))},
    of=declare_tokens,
)


declared(
    "min-size-too-small",
    {"forward.smallest": "in training it cannot take 8 pixels"},
    lambda: {"input": replace(INPUT, min_size=8)},
    of=declare_tokens,
)


@built({"forward.smallest": "in eval mode it cannot take (3, 8, 8)"}, input=replace(INPUT, min_size=8))
def pools_by_a_window_in_eval_mode(model: Any, torch: Any) -> None:
    model.add("layer2", lambda features: features if model.training else torch.nn.functional.avg_pool2d(features, 2))


@built({"forward.refuses": "it takes images of 4 channels, though it declares 3; let it raise"})
def drops_channels(model: Any, _torch: Any) -> None:
    run = model.run_features
    model.run_features = lambda images: run(images[:, :3])


@built({"forward.refuses": "4 channels are refused by AssertionError, without a word; say what it takes"})
def refuses_without_a_word(model: Any, _torch: Any) -> None:
    run = model.run_features

    def run_features(images: Any) -> Any:
        assert images.shape[1] == 3
        return run(images)

    model.run_features = run_features


@built({"forward.repeatable": "in eval mode it gives other logits for the same images; let nothing be random"})
def drops_out_in_eval_mode(model: Any, torch: Any) -> None:
    model.add("layer1", torch.nn.functional.dropout)


@built({"forward.repeatable": "its logits are not finite; initialise it so that they are"})
def overflows_in_eval_mode(model: Any, _torch: Any) -> None:
    model.add("layer2", lambda features: features if model.training else features.exp() * 3e38)


@built({"forward.repeatable": "it gives every class or every image the same logits; initialise it so that they differ"})
def is_silent_at_first(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits - logits.detach())


@built({"forward.repeatable": "it gives every class or every image the same logits; initialise it so that they differ"})
def does_not_look(model: Any, _torch: Any) -> None:
    model.add("pool", lambda features: features * 0)


@built({"forward.independent": "logits depend on the rest of its batch; normalise by kept statistics"})
def normalises_over_the_batch(model: Any, torch: Any) -> None:
    model.layer1.append(torch.nn.BatchNorm2d(8, affine=False, track_running_stats=False))
