"""Backbones whose forward pass is not as declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from specimens.good import INPUT, declare_fields, declare_tokens
from specimens.register import built, declared


@built(
    {"forward.logits": "it returns a dict with the tensors logits (2, 10) for two images; declare the one that holds"}
)
def returns_a_dict(model: Any, _torch: Any) -> None:
    model.forward = lambda images: {"logits": model.classifier(model.run_features(images))}


@built({"forward.logits": "it returns a list for two images; forward() must return logits of shape (2, 10)"})
def returns_a_list(model: Any, _torch: Any) -> None:
    model.forward = lambda images: [model.classifier(model.run_features(images))]


declared(
    "output-field-of-a-tensor",
    {"forward.logits": "output_field='logits' does not match ConvNet, which returns a tensor of shape (2, 10); omit"},
    lambda: {"output_field": "logits"},
)
declared(
    "wrong-output-field",
    {"forward.logits": "output_field='scores' is not a tensor in the output of FieldNet, an Output with the tensors"},
    lambda: {"output_field": "scores"},
    of=declare_fields,
)


declared(
    "wrong-num-classes",
    {"forward.logits": "must return logits of shape (2, 1000). Its head has 10 outputs, so declare num_classes=10"},
    lambda: {"num_classes": 1000},
)
declared(
    "wrong-size",
    {"forward.logits": "it fails on images of 3x32x32"},
    lambda: {"input": replace(INPUT, size=(3, 32, 32))},
    of=declare_tokens,
)


declared(
    "min-size-too-small",
    {"forward.smallest": "in training mode, it fails on images of 8 pixels"},
    lambda: {"input": replace(INPUT, min_size=8)},
    of=declare_tokens,
)


@built({"forward.smallest": "in eval mode, it fails on images of shape (3, 8, 8)"}, input=replace(INPUT, min_size=8))
def pools_by_a_window_in_eval_mode(model: Any, torch: Any) -> None:
    model.add("layer2", lambda features: features if model.training else torch.nn.functional.avg_pool2d(features, 2))


@built({"forward.refuses": "it accepts images with 4 channels, but declares 3; raise an error"})
def drops_channels(model: Any, _torch: Any) -> None:
    run = model.run_features
    model.run_features = lambda images: run(images[:, :3])


@built(
    {"forward.refuses": "images with 4 channels raise AssertionError without a message; describe the expected input"}
)
def raises_without_a_message(model: Any, _torch: Any) -> None:
    run = model.run_features

    def run_features(images: Any) -> Any:
        assert images.shape[1] == 3
        return run(images)

    model.run_features = run_features


@built(
    {"forward.repeatable": "in eval mode, it returns different logits for the same images; make sure that forward()"}
)
def drops_out_in_eval_mode(model: Any, torch: Any) -> None:
    model.add("layer1", torch.nn.functional.dropout)


@built({"forward.repeatable": "its logits are not finite; change the initialization"})
def overflows_in_eval_mode(model: Any, _torch: Any) -> None:
    model.add("layer2", lambda features: features if model.training else features.exp() * 3e38)


@built({"forward.repeatable": "all classes or all images have the same logits; change the initialization"})
def has_all_logits_zero(model: Any, _torch: Any) -> None:
    model.add("classifier", lambda logits: logits - logits.detach())


@built({"forward.repeatable": "all classes or all images have the same logits; change the initialization"})
def ignores_its_images(model: Any, _torch: Any) -> None:
    model.add("pool", lambda features: features * 0)


@built({"forward.independent": "logits depend on the rest of its batch; normalize with running statistics"})
def normalizes_over_the_batch(model: Any, torch: Any) -> None:
    model.layer1.append(torch.nn.BatchNorm2d(8, affine=False, track_running_stats=False))


@built({"forward.repeatable": "forward() changes its images in place; compute new tensors instead"})
def shifts_its_images_in_place(model: Any, _torch: Any) -> None:
    run = model.run_features
    model.run_features = lambda images: run(images.sub_(0.5))


@built({"forward.logits": "build the model with float32 parameters, and do not cast images"})
def has_parameters_in_half_precision(model: Any, _torch: Any) -> None:
    model.half()


@built({"forward.logits": "forward() must not choose a device; use the device of the images"})
def chooses_a_device(model: Any, torch: Any) -> None:
    run = model.run_features
    model.run_features = lambda images: run(images + torch.zeros(1, device="cuda:99"))
